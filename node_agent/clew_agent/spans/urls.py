"""URL attributes of a request target, by the OpenTelemetry semantic conventions: no credentials, and a query only when asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

_REDACTED = "REDACTED"
_SENSITIVE = frozenset(
    {
        *("AWSAccessKeyId", "Signature", "X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token"),
        *("sig", "X-Goog-Signature"),
    }
)
_ABSOLUTE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
_AUTHORITY = re.compile(r"(?:.*@)?(\[[^\]]*\]|[^:]*)(?::(\d{1,5}))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Target:
    """A request target taken apart (RFC 9112, 3.2). ``host`` and ``port`` only where the target itself names them."""

    path: str
    query: str | None
    scheme: str = "http"
    host: str | None = None
    port: int | None = None
    credentials: bool = False


@lru_cache(maxsize=4096)
def parse_target(raw: bytes, method: bytes) -> Target:
    """Take a target apart, whatever bytes it holds: what is not printable ASCII is percent-encoded."""
    text = quote(raw, safe="!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
    if method == b"CONNECT":
        host, port, credentials = _authority(text)
        return Target("", None, host=host, port=port, credentials=credentials)
    found = _ABSOLUTE.fullmatch(text) if text[:1] not in ("/", "*") else None
    if found is None:
        path, mark, query = text.partition("?")
        return Target(path, query if mark else None)
    host, port, credentials = _authority(found[2])
    path, mark, query = found[3].partition("?")
    return Target(path or "/", query if mark else None, found[1].lower(), host, port, credentials)


def redact_query(query: str) -> str:
    """The query with the values of well-known signatures replaced by ``REDACTED``; their keys stay."""
    parts = (part.partition("=") for part in query.split("&"))
    return "&".join(f"{key}={_REDACTED}" if mark and key in _SENSITIVE else f"{key}{mark}{value}" for key, mark, value in parts)


def full_url(target: Target, authority: str, keep_query: bool) -> str:
    """``url.full``: the target at ``authority`` (``host:port``), which is that of the target where it names one."""
    user = f"{_REDACTED}:{_REDACTED}@" if target.credentials else ""
    query = f"?{redact_query(target.query)}" if keep_query and target.query is not None else ""
    path = "" if target.path == "*" else target.path
    return f"{target.scheme}://{user}{authority}{path}{query}"


def _authority(text: str) -> tuple[str | None, int | None, bool]:
    found = _AUTHORITY.fullmatch(text)
    if found is None or not found[1]:
        return None, None, "@" in text
    port = int(found[2]) if found[2] else None
    return found[1].strip("[]"), port if port is not None and port <= 65535 else None, "@" in text
