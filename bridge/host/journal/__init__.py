"""The logs of a host's units, behind one interface: systemd's journal, or the files of a local stack."""
