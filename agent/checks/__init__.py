"""The doctor's checks of a device, one a file; the file's name is its slug."""
