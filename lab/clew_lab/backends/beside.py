"""Jaeger beside a running cluster: it ends with it, and pods reach it as ``jaeger.observability``."""

from functools import partial

from clew_lab import store
from clew_lab.backends.build import JAEGER, PROGRAMS
from clew_lab.backends.running import Jaeger, command_line, has_begun, jaeger_on, jaeger_settings
from clew_lab.backends.settings import jaeger_objects
from clew_lab.cluster.control_plane import Cluster

__all__ = ["start_jaeger"]


def start_jaeger(cluster: Cluster) -> Jaeger:
    """Start a Jaeger that ends with the cluster, and give it a name there; ready when it returns.

    Raises :class:`clew_lab.store.NotBuilt` and :class:`clew_lab.cluster.ClusterError`.
    """
    program = PROGRAMS[JAEGER].find()
    cluster.held.enter_context(store.in_use(program))
    configuration = cluster.folder / f"{JAEGER}.json"
    configuration.write_text(jaeger_settings(cluster.ports))
    cluster.run_beside(JAEGER, command_line(program, JAEGER, configuration))
    cluster.await_ready(JAEGER, partial(has_begun, cluster.folder / f"{JAEGER}.log"))
    jaeger = jaeger_on(cluster.ports)
    cluster.kubectl("apply", "--server-side", "--filename=-", input=jaeger_objects(jaeger.way))
    return jaeger
