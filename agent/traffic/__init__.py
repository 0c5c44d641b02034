"""From frames to observations: arithmetic on pictures, without a clock, a socket or a file."""
