"""The resource that a pod's spans are exported under: ``k8s.*`` and ``service.*``.

``service.*`` follows "Specify resource attributes using Kubernetes annotations" of the OpenTelemetry semantic conventions, the
same rules as the OpenTelemetry operator's; ``docs/spans.md`` spells the order out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clew_agent.model import AttributeValue, Pod, Run

ANNOTATION_PREFIX = "resource.opentelemetry.io/"
_NAMING_SERVICES = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "CronJob", "Job")
_WITH_ATTRIBUTES = (*_NAMING_SERVICES, "ReplicationController")
_SERVICE = "Service"  # what stands for the workload of a peer whose own is not known


def workload_name(pod: Pod) -> str:
    """The workload's name, or the pod's where it has no workload."""
    return pod.workload.name if pod.workload is not None else pod.name


def service_name(pod: Pod, well_known_labels: bool = False) -> str:
    """``service.name``: annotation, then (only when asked for) well-known labels, then workload, then pod.

    The conventions list the kinds of workloads; a pod of any other kind names the service itself.
    """
    labels = ("app.kubernetes.io/instance", "app.kubernetes.io/name") if well_known_labels else ()
    values = [pod.annotations.get(ANNOTATION_PREFIX + "service.name"), *(pod.labels.get(label) for label in labels)]
    named = pod.workload is not None and pod.workload.kind in (*_NAMING_SERVICES, _SERVICE)
    return next((value for value in values if value), workload_name(pod) if named else pod.name)


def service_namespace(pod: Pod) -> str:
    """``service.namespace``: annotation, then the pod's namespace."""
    return pod.annotations.get(ANNOTATION_PREFIX + "service.namespace") or pod.namespace


def pod_resource(
    pod: Pod,
    host: Mapping[str, AttributeValue],
    pod_labels: Sequence[str] = (),
    well_known_labels: bool = False,
    run: Run | None = None,
) -> dict[str, AttributeValue]:
    """All resource attributes of a pod's container, or of the pod where the run is not known.

    ``host`` are those of its node, ``pod_labels`` the keys of labels to carry. The pod's annotations win over everything.
    """
    attributes: dict[str, AttributeValue] = dict(host)
    attributes["k8s.pod.name"] = pod.name
    attributes["k8s.namespace.name"] = pod.namespace
    if pod.uid:
        attributes["k8s.pod.uid"] = pod.uid
    if pod.node:
        attributes["k8s.node.name"] = pod.node
    for owner in (pod.maker, pod.workload):
        if owner is not None and owner.kind in _WITH_ATTRIBUTES:
            attributes[f"k8s.{owner.kind.lower()}.name"] = owner.name
            if owner.uid:
                attributes[f"k8s.{owner.kind.lower()}.uid"] = owner.uid
    # An empty label is there all the same, and the conventions keep it.
    attributes.update({f"k8s.pod.label.{key}": pod.labels[key] for key in pod_labels if key in pod.labels})
    instance = [pod.namespace, pod.name]
    if run is None and len(pod.containers) == 1:
        run = Run(pod.containers[0])
    if run is not None:
        attributes["k8s.container.name"] = run.container
        instance.append(run.container)
        if run.restarts is not None:
            attributes["k8s.container.restart_count"] = run.restarts
    attributes["service.name"] = service_name(pod, well_known_labels)
    attributes["service.namespace"] = service_namespace(pod)
    attributes["service.instance.id"] = ".".join(instance)
    version = pod.labels.get("app.kubernetes.io/version") if well_known_labels else None
    if version:
        attributes["service.version"] = version
    for key, value in pod.annotations.items():
        if key.startswith(ANNOTATION_PREFIX) and len(key) > len(ANNOTATION_PREFIX) and value:
            attributes[key.removeprefix(ANNOTATION_PREFIX)] = value
    return attributes
