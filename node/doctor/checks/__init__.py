"""One check a file; the file's name is its slug. Adding a check is adding a file."""
