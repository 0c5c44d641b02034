"""Home Assistant sees each device: its cameras' roads, its health, its alarms. See docs/home-assistant.md."""
