"""Streets, demand and traffic: what SUMO needs and what comes out of it."""
