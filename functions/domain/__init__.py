"""Rules and values of the hub: no await, no I/O, no clock and no randomness of its own."""
