"""`kinflow bench signals`: Kinflow's signal controllers beside SUMO's own, on any net."""
