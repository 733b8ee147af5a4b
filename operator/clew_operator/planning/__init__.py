"""Decides: facts of the world in, objects to write out. Pure: no clock, no client, no randomness."""
