"""Signals: a controller proposes a stage, the safety check makes it a safe command, the lease carries it."""
