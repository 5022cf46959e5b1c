"""Background work of a process: the loop that does what is due."""
