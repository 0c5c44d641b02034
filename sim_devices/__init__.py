"""A simulated city: SUMO traffic, rendered cameras, signal controllers and faults on demand."""
