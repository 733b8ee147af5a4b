"""A real Kubernetes control plane on 127.0.0.1, for tests: etcd, API server, controller manager, scheduler, and kwok for nodes.

It is built once from Go modules (:mod:`clew_lab.cluster.build`), kept in the user's cache, and started in a few seconds, several at
once if wanted. :class:`Cluster` is what tests are given.
"""

from clew_lab.cluster.control_plane import Cluster, ClusterError, start_cluster

__all__ = ["Cluster", "ClusterError", "start_cluster"]
