"""A device's detectors, and what each camera makes of them."""
