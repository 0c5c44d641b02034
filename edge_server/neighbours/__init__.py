"""Edge servers of other sites, to whom a vehicle's route is handed on."""
