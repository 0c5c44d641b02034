"""`kinflow bench tuning`: training steps of our compiled graphs beside torch's, in one run."""
