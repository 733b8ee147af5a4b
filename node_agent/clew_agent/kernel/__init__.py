"""What the running kernel is: its types (BTF), its functions and its features.

Everything here is pure but for the few functions that say which file they read; the programs' C is compiled against what
this package finds, so that a node needs no kernel headers.
"""
