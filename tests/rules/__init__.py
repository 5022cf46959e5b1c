"""Rules of the repository, run as tests. Each says why it exists and how to make an exception."""
