"""What the last answer of a collector says about another try."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

# OTLP specification: "Failures" for HTTP (retryable response codes) and for gRPC.
RETRYABLE_HTTP = frozenset({429, 502, 503, 504})
RETRYABLE_GRPC = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})


class Watch:
    """Filled in while an exporter exports; one batch is under way at a time.

    The exporter's own last try has what is left of its timeout, which may be a moment: where it is cut short, the reason stays that of
    the try before.
    """

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.clear()

    def clear(self) -> None:
        """Forget the last batch."""
        self.retryable = False
        self.reason = ""
        self.retry_after_s: float | None = None
        self.rejected = 0

    def unreachable(self, error: Exception, cut_short: bool) -> None:
        """No answer came: another try makes sense."""
        before = self.reason if cut_short else ""
        self.clear()
        self.retryable = True
        self.reason = before or f"{type(error).__name__}: {error}"

    def http(self, status: int, reason: str, retry_after: str | None) -> None:
        """An HTTP answer, with the text of its ``Retry-After``."""
        self.clear()
        self.retryable = status in RETRYABLE_HTTP
        self.reason = "" if status < 400 else f"HTTP {status} {reason}"
        self.retry_after_s = parse_retry_after(retry_after) if self.retryable and retry_after else None

    def grpc(self, code: str, details: str, retry_after_s: float | None) -> None:
        """A gRPC status. RESOURCE_EXHAUSTED is worth another try only where the collector says when."""
        before = self.reason if code == "DEADLINE_EXCEEDED" else ""
        self.clear()
        self.retryable = code in RETRYABLE_GRPC or (code == "RESOURCE_EXHAUSTED" and retry_after_s is not None)
        self.reason = "" if code == "OK" else before or f"gRPC {code}: {details}"
        self.retry_after_s = retry_after_s if self.retryable else None

    def partial(self, rejected: int, message: str) -> None:
        """An accepted batch of which the collector did not want ``rejected`` spans."""
        self.rejected = rejected
        self.reason = message


def parse_retry_after(text: str) -> float | None:
    """Seconds from a ``Retry-After`` field (RFC 9110, 10.2.3): a number or a date. ``None`` for anything else."""
    value = text.strip()
    if value.isdecimal():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
