"""The search for what to train: what each part of a network gains alone, what it costs here, and the best that fits."""
