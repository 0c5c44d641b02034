"""The simulated signal controller: what stands in the cabinet at an intersection, with its own conflict monitor."""
