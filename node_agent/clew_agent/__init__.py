"""The node agent: policies in, BCC programs on, spans out."""

__version__ = "0.1.0"
