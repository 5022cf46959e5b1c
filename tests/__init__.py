"""The tests. They mirror the package; `rules/` holds what is true of the repository itself."""
