"""Checks of an installation: each one file, each with what to do when it fails."""
