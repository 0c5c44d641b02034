"""How the shipped weights are made. Nothing that runs on a device imports this; torch lives here alone."""
