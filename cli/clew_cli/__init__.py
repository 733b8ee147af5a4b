"""The ``clew`` command, kubectl's plugin ``kubectl clew``: rollouts on a cluster, and policies, identifiers and traces without one."""
