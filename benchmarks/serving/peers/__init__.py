"""Servers that Kinflow is put beside: how each is brought here, started and told the same."""
