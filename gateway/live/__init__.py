"""What devices say and do, handed on over WebSockets as it happens."""
