"""What the objects share that Clew's programs write for one another: conditions, times, and a reader that is kind to newer writers."""

from __future__ import annotations

import enum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from clew_crds.base import Model, Text, Whole
from clew_crds.values import TIME_PATTERN, parse_time

MESSAGE_MAX = 1024
"""Characters of a message in a status; longer ones are cut."""

UNBOUNDED = 2**53
"""The greatest number of a status: what every reader of JSON takes exactly."""

Time = Annotated[str, Text(TIME_PATTERN, 27, 'a time in UTC, such as "2026-11-25T10:00:00Z"', parse_time, json_format="date-time")]
Reason = Annotated[str, Text(r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$", 128, 'one word in CamelCase, such as "FunctionNotFound"')]
Message = Annotated[str, Text(r"^(.|\n)*$", MESSAGE_MAX, f"a text of at most {MESSAGE_MAX} characters", min_length=0)]
ObjectName = Annotated[str, Text(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$", 253, 'the name of an object, such as "bookinfo-6f9c2d41aa"')]
Uid = Annotated[str, Text(r"^[-A-Za-z0-9]*$", 64, "the uid of an object", min_length=0)]
Count = Annotated[int, Whole(0, UNBOUNDED)]
Generation = Annotated[int, Whole(0, UNBOUNDED)]


class Observed(Model):
    """A part of such an object. What a newer version wrote beside the fields known here is left alone; Python names will do."""

    model_config = ConfigDict(extra="ignore", validate_by_name=True)

    def document(self) -> dict[str, Any]:
        """As the API server takes it: camelCase, without what is not set."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


class ObjectMeta(Observed):
    """The part of Kubernetes' ObjectMeta that Clew reads of its own objects."""

    name: ObjectName
    """The object's name."""
    uid: str = ""
    """Set by the API server."""
    resource_version: str = ""
    """Set by the API server."""
    generation: Generation = 0
    """Set by the API server: counts the changes of spec."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the object."""
    owner_references: tuple[dict[str, Any], ...] = ()
    """The objects that this one goes with."""
    creation_timestamp: str | None = None
    """Set by the API server."""
    deletion_timestamp: str | None = None
    """Set by the API server when the object is being deleted."""


class Truth(enum.StrEnum):
    """The status of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Observed):
    """One condition, as ``metav1.Condition`` has it."""

    type: Reason
    """What it is about, such as Ready."""
    status: Truth
    """Whether it holds: True, False or Unknown."""
    observed_generation: Generation = 0
    """The generation of spec that it was judged by."""
    last_transition_time: Time
    """When status changed last."""
    reason: Reason
    """Why, as one word for programs."""
    message: Message = ""
    """Why, for people: what is wrong, where, and what to do."""
