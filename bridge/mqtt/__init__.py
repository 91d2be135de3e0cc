"""Carries MQTT to the bus and back: a pure table of topics, one queue per device, one session per lane."""
