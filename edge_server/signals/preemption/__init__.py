"""Pre-emption as a lease: who may have the signals, for how long, and what is owed to the others afterwards."""
