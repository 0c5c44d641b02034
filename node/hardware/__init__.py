"""What this machine is and what it can carry: probed from /proc and /sys, fitted to a profile by a pure function."""
