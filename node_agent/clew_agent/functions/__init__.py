"""Kernel functions: what a policy asks for, what the kernel has, and the C that records it."""
