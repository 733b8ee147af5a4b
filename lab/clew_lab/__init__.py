"""Real kernels on one machine, for Clew's tests and demo.

A root file system and the kernels of :data:`clew_lab.config.KERNELS` are built once from Debian's packages, kept in the
user's cache, and booted under QEMU emulation with the checkout shared read-write. Nothing in the product imports this.
"""
