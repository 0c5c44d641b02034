"""What can go wrong, on demand and by seed."""
