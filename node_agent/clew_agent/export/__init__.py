"""Spans out of the agent: a bounded queue and its thread, and the sinks behind it (OTLP, a file, the console)."""
