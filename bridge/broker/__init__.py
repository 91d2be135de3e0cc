"""The broker's keeper: who is connected, who may connect, and what ends. Mosquitto is the first adapter."""
