"""What the edge server remembers: one SQLite file, written by one thread, read by anyone. See docs/store.md."""
