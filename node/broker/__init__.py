"""MQTT: the port that Kinflow speaks through, its paho adapter, and the two brokers that Kinflow can start itself."""
