"""Real kernels and a real Kubernetes control plane on one machine, for Clew's tests and demo.

A root file system and the kernels of :data:`clew_lab.config.KERNELS` are built once from Debian's packages, kept in the
user's cache, and booted under QEMU emulation with the checkout shared read-write. The control plane, :mod:`clew_lab.cluster`,
is built once from Go modules. Nothing in the product imports this.
"""
