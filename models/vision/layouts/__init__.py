"""One file for each layout of a detector's network; see models/vision/layout.py."""
