"""A bundle: all that one kind of machine needs of one version, in one folder and one tar. See docs/install.md."""
