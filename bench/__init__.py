"""Paired benchmarks: the same load with and without the agent, in turn, in one guest. See ``docs/bench.md``."""
