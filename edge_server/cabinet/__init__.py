"""Gateways to signal cabinets: what makes a controller of any make speak Kinflow's heartbeats and signal commands."""
