"""The doctor's checks of an edge server, one a file; the file's name is its slug."""
