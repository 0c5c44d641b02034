"""The device: it reads cameras, sees how full each road is, and says so. One process per device."""
