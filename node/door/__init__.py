"""The door of an HTTP server: who may stay at it, and how long. Edge server and cloud have the same."""
