"""How the operator logs: one line an entry, ``key=value`` throughout, so that people and programs read the same.

Whoever logs gives a constant message, and what varies by ``extra``: ``log.warning("a write failed", extra={"node": name})``.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_QUIET = {
    "kopf": logging.WARNING,
    # It warns that signals are not its own here: main.py takes them.
    "kopf._core.reactor.running": logging.ERROR,
    "urllib3": logging.ERROR,
}


class KeyValueFormatter(logging.Formatter):
    """``time=… level=… logger=… message="…" node=…``; a value is quoted as JSON does it where it is not one plain word."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; a traceback is the value of ``error``."""
        pairs: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        pairs |= {key: value for key, value in record.__dict__.items() if key not in _STANDARD and not key.startswith("_")}
        if record.exc_info:
            pairs["error"] = self.formatException(record.exc_info)
        return " ".join(f"{key}={_quoted(str(value))}" for key, value in pairs.items())


def set_up(level: str) -> None:
    """Log to standard error from ``level`` up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValueFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name, least in _QUIET.items():
        logging.getLogger(name).setLevel(least)


def _quoted(text: str) -> str:
    plain = text and text.isprintable() and not any(one in text for one in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
