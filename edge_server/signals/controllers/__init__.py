"""Signal controllers, one file each, found by name (edge_server.signals.controller)."""
