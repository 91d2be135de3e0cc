"""What a host is busy with: measured every few seconds, and kept for a day."""
