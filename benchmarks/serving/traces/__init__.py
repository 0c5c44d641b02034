"""Traces of requests, one reader a file, all with the same rows."""
