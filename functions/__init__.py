"""The hub itself: every function, and what functions are made of."""
