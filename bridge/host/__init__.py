"""The host shim: the units that the hub lives on, to the bus and back."""
