"""The device's own page, on loopback: mark the road in the camera's picture."""
