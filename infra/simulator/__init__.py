"""Simulated devices: real certificates, real MQTT over mutual TLS, thousands of them on one event loop."""
