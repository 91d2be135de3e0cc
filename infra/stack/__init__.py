"""The local stack: broker, NATS and the hub's parts under a supervisor."""
