"""Other protocols to the bus: MQTT, the broker itself, and the host."""
