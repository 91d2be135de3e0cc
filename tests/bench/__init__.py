"""Benchmarks: ``python -m tests.bench`` loads a hub of its own and prints what it does beside the raw ceilings."""
