"""The hub for programs on this machine: ``io.edgeberry.devicehub`` on its D-Bus."""
