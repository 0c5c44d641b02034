"""Sounds of a street that nobody recorded: sirens, and what must not be taken for one. All of it is simulation."""
