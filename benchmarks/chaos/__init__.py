"""`bench chaos`: real faults from a seeded schedule, against sites of real processes."""
