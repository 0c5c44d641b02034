"""What was computed of a prompt's beginning, kept for the next one that begins so."""
