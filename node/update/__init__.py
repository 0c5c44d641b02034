"""Updates: signed targets, versions beside one another, a switch that can be taken back, and a gate before it stays."""
