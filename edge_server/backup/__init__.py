"""Backup and restore of an edge server: one encrypted file. See docs/closet.md and decision 0011."""
