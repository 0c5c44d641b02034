"""What a server is asked by many at once, and what comes of it: traces, replay, peers."""
