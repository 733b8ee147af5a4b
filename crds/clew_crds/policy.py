"""``TracingPolicy``: which pods to trace, what share of their requests, and how deep into the kernel.

The API's version ``clew.dev/v1alpha1``. These classes are its only definition: files are checked with them, agents and operator
read policies through them, and the CRD is generated from them, field descriptions included.
"""

from __future__ import annotations

import enum
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from clew_crds.base import Bool, Model, Text, Whole
from clew_crds.catalogue import CATALOGUE
from clew_crds.functions import KernelFunction
from clew_crds.rollout import Rollout
from clew_crds.rules import Rule, Unique, refuse
from clew_crds.selectors import LabelKey, LabelSelector, LabelValue, NamespaceName
from clew_crds.values import RATIO_PATTERN, parse_ratio

API_VERSION = "clew.dev/v1alpha1"
KIND = "TracingPolicy"

Ratio = Annotated[str, Text(RATIO_PATTERN, 11, 'a decimal string from 0 to 1, such as "0.25"')]
PolicyName = Annotated[str, Text(r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$", 63, 'a name of up to 63 of a-z, 0-9 and "-", such as "bookinfo"')]


class Propagator(enum.StrEnum):
    """A format of trace headers."""

    TRACECONTEXT = "tracecontext"


Propagators = Annotated[tuple[Propagator, ...], Field(max_length=8), Unique("each format once")]


class Naming(enum.StrEnum):
    """How request spans are named."""

    FLOW = "Flow"
    HTTP = "HTTP"


class Subject(enum.StrEnum):
    """What a name in the Flow style calls a party."""

    WORKLOAD = "Workload"
    POD = "Pod"


class Layout(enum.StrEnum):
    """How new identifiers are made."""

    STRUCTURED = "Structured"
    RANDOM = "Random"


class Sampling(Model):
    """Which requests are traced."""

    ratio: Ratio = "1"
    """The share of the traces beginning here that are recorded: a decimal string from 0 to 1."""
    parent_based: Bool = True
    """Whether the sampled flag of an arriving traceparent decides, rather than the ratio."""
    max_per_second: Annotated[int, Whole(1, 1_000_000, "traces")] | None = None
    """At most so many traces begin per second on each node. By default there is no such limit."""

    @property
    def share(self) -> Fraction:
        """``ratio``, parsed."""
        return parse_ratio(self.ratio)


class Propagation(Model):
    """Which trace headers are written into requests and read from them. An empty list turns a direction off."""

    inject: Propagators = (Propagator.TRACECONTEXT,)
    """Formats that outgoing requests get."""
    extract: Propagators = (Propagator.TRACECONTEXT,)
    """Formats that are understood in arriving requests."""


class Spans(Model):
    """What spans look like."""

    naming: Naming = Naming.FLOW
    """Names of request spans. Flow: client:productpage->details; HTTP: GET /details."""
    subject: Subject = Subject.WORKLOAD
    """What a name in the Flow style calls the two parties: by Workload (productpage) or Pod (productpage-7c9f-x2x)."""
    query_string: Bool = False
    """Whether url.query is recorded. Query strings often carry personal data and secrets, so this is off by default."""
    pod_labels: Annotated[tuple[LabelKey, ...], Field(max_length=16), Unique("each label once")] = ()
    """Labels of the pods that their spans carry, by key: app becomes the resource attribute k8s.pod.label.app. By default none."""


class Identifiers(Model):
    """How trace and span identifiers are made."""

    layout: Layout = Layout.STRUCTURED
    """Structured: host address, time, sequence, process, as `clew decode` shows them. Random: random, and flagged so as W3C says."""


class Overhead(Model):
    """What the agent may cost on each node. A limit that is left out is not enforced."""

    cpu_millicores: Annotated[int, Whole(1, 64_000, "millicores")] | None = None
    """Thousandths of a CPU."""
    memory_mib: Annotated[Annotated[int, Whole(16, 65_536, "mebibytes")] | None, Field(alias="memoryMiB")] = None
    """Mebibytes of memory."""


class Limits(Model):
    """Bounds on what one node records. What is cut off is counted, never silently lost."""

    spans_per_request: Annotated[int, Whole(1, 4096, "spans")] = 256
    """Kernel-function spans that one request may have on one node."""
    events_per_second: Annotated[int, Whole(1, 1_000_000, "events")] = 20_000
    """Spans per second that one node may send to user space."""
    overhead: Overhead = Overhead()
    """What the agent may cost."""


class Metadata(Model):
    """The part of Kubernetes' ObjectMeta that a policy has: it is cluster-scoped, so there is no namespace."""

    name: PolicyName
    """The policy's name, unique in the cluster."""
    labels: Annotated[dict[LabelKey, LabelValue], Field(max_length=256)] = Field(default_factory=dict)
    """Labels of the policy itself."""
    annotations: Annotated[dict[LabelKey, str], Field(max_length=256)] = Field(default_factory=dict)
    """Annotations of the policy itself."""
    uid: str | None = None
    """Set by the API server."""
    resource_version: str | None = None
    """Set by the API server."""
    generation: int | None = None
    """Set by the API server: counts the changes of spec."""
    creation_timestamp: Any = None
    """Set by the API server."""
    deletion_timestamp: Any = None
    """Set by the API server."""
    deletion_grace_period_seconds: int | None = None
    """Set by the API server."""
    finalizers: tuple[str, ...] = ()
    """Set by controllers."""
    owner_references: tuple[dict[str, Any], ...] = ()
    """Set by controllers."""
    managed_fields: tuple[dict[str, Any], ...] = ()
    """Set by the API server."""


_KNOWN_SET = Rule(f"!has(self.set) || self.set in [{', '.join(repr(name) for name in CATALOGUE)}]", f"one of {', '.join(CATALOGUE)}", "set")
_SELECTED = Rule(
    "has(self.namespaces) && size(self.namespaces) > 0 || has(self.namespaceSelector)",
    "at least one namespace here, or a namespaceSelector",
    "namespaces",
)


def _once(field: str, in_cel: str) -> Rule:
    twice = f"self.kernelFunctions.exists_one(b, has(b.{in_cel}) && b.{in_cel} == a.{in_cel})"
    condition = f"!has(self.kernelFunctions) || self.kernelFunctions.all(a, !has(a.{in_cel}) || {twice})"
    return Rule(condition, f"each {field} once", "kernelFunctions")


_ONCE = {"set": _once("set", "set"), "function": _once("function", "__function__")}


def _in_catalogue(entry: KernelFunction) -> KernelFunction:
    if entry.set is not None and entry.set not in CATALOGUE:
        refuse([_KNOWN_SET.refusal(entry.set)])
    return entry


class EnforcedSpec(Model):
    """What to trace, and how: the part of a policy that nodes enforce, and a revision keeps."""

    RULES: ClassVar = (_SELECTED, *_ONCE.values())

    namespaces: Annotated[tuple[NamespaceName, ...], Field(max_length=256), Unique("each namespace once")] = ()
    """Namespaces to trace, by name. A pod is traced if its namespace is listed here or matches namespaceSelector."""
    namespace_selector: LabelSelector | None = None
    """Namespaces to trace, by their labels. An empty selector selects every namespace."""
    pod_selector: LabelSelector | None = None
    """Narrows the policy to those pods of its namespaces that have these labels."""
    sampling: Sampling = Sampling()
    """Which requests are traced. By default all."""
    propagation: Propagation = Propagation()
    """Trace headers that are written and read. By default W3C Trace Context both ways."""
    kernel_functions: Annotated[tuple[Annotated[KernelFunction, AfterValidator(_in_catalogue), _KNOWN_SET], ...], Field(max_length=64)] = ()
    """Kernel functions whose calls inside sampled requests become spans. By default none."""
    spans: Spans = Spans()
    """What spans look like."""
    identifiers: Identifiers = Identifiers()
    """How identifiers are made."""
    limits: Limits = Limits()
    """Bounds on what a node records."""

    @model_validator(mode="after")
    def _rules(self) -> EnforcedSpec:
        found = []
        if not self.namespaces and self.namespace_selector is None:
            found.append(_SELECTED.refusal(self.namespaces))
        seen: set[str] = set()
        for number, entry in enumerate(self.kernel_functions):
            field, name = ("set", entry.set) if entry.set is not None else ("function", entry.function)
            if f"{field} {name}" in seen:
                found.append(_ONCE[field].refusal(name, "kernelFunctions", number, field))
            seen.add(f"{field} {name}")
        refuse(found)
        return self


class PolicySpec(EnforcedSpec):
    """What to trace, and how."""

    rollout: Rollout = Rollout()
    """How a change reaches the nodes."""


class TracingPolicy(Model):
    """Which pods to trace, what share of their requests, and how deep into the kernel."""

    api_version: Literal["clew.dev/v1alpha1"]
    """Always clew.dev/v1alpha1."""
    kind: Literal["TracingPolicy"]
    """Always TracingPolicy. (Tetragon has a kind of this name too; the qualified name is tracingpolicies.clew.dev.)"""
    metadata: Metadata
    """The policy's name, labels and annotations."""
    spec: PolicySpec
    """What to trace, and how."""
    status: dict[str, Any] | None = None
    """How far the policy has been rolled out; the operator alone writes it."""
