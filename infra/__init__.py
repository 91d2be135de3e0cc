"""Running the hub: the devicehub command and the local stack."""
