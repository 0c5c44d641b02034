"""Boot files, services and hardware profiles of the boards and servers that Kinflow runs on. See README.md."""
