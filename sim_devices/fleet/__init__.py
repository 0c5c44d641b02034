"""Thousands of devices that only send messages: one connection, birth and will each, on one event loop."""
