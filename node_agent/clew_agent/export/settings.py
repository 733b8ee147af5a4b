"""The settings of export that come from the environment, as the OpenTelemetry specification names them.

``OTEL_EXPORTER_OTLP_*`` are read by the official exporters themselves, but for the protocol, which chooses between them. The queue
takes ``OTEL_BSP_*``, since it stands where the batch span processor stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PROTOCOLS = ("grpc", "http/protobuf")
DEFAULT_PROTOCOL = "http/protobuf"


class SettingsError(ValueError):
    """A variable of the environment or an option of the command line has a value that cannot be used."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """Bounds of the export queue. ``capacity`` and ``batch`` are spans; a batch that is not full waits ``delay_s``.

    The delay is the specification's; a batch is four times its 512, since a node sends what many services would.

    A batch that could not be delivered is tried again after ``first_retry_s``, doubling up to ``last_retry_s``.
    """

    capacity: int = 8192
    batch: int = 2048
    delay_s: float = 5.0
    first_retry_s: float = 1.0
    last_retry_s: float = 30.0


def queue_limits(environment: Mapping[str, str]) -> QueueLimits:
    """The limits, changed by ``OTEL_BSP_MAX_QUEUE_SIZE``, ``…_MAX_EXPORT_BATCH_SIZE`` and ``…_SCHEDULE_DELAY`` (milliseconds)."""
    default = QueueLimits()
    capacity = _whole(environment, "OTEL_BSP_MAX_QUEUE_SIZE", default.capacity)
    batch = _whole(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", min(default.batch, capacity))
    if batch > capacity:
        raise SettingsError(f"OTEL_BSP_MAX_EXPORT_BATCH_SIZE={batch} is more than the queue's {capacity}")
    delay = _whole(environment, "OTEL_BSP_SCHEDULE_DELAY", int(default.delay_s * 1000))
    return QueueLimits(capacity, batch, delay / 1000)


def otlp_protocol(environment: Mapping[str, str]) -> str:
    """``OTEL_EXPORTER_OTLP_TRACES_PROTOCOL``, else ``OTEL_EXPORTER_OTLP_PROTOCOL``, else ``http/protobuf``."""
    for name in ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"):
        value = environment.get(name, "").strip().lower()
        if value and value not in PROTOCOLS:
            raise SettingsError(f"{name}={value!r} is not supported; allowed are {' and '.join(PROTOCOLS)}")
        if value:
            return value
    return DEFAULT_PROTOCOL


def otlp_compression(environment: Mapping[str, str]) -> str:
    """``OTEL_EXPORTER_OTLP_TRACES_COMPRESSION``, else ``OTEL_EXPORTER_OTLP_COMPRESSION``, else ``none``."""
    for name in ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"):
        value = environment.get(name, "").strip().lower()
        if value and value not in ("none", "gzip", "deflate"):
            raise SettingsError(f"{name}={value!r} is not supported; allowed are none and gzip")
        if value:
            return value
    return "none"


def _whole(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    if not text.isdecimal() or int(text) == 0:
        raise SettingsError(f"{name}={text!r} is no whole number above 0")
    return int(text)
