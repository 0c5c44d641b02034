"""Any net that SUMO loads, under Kinflow's signal controllers and SUMO's own: what `kinflow bench signals` runs."""
