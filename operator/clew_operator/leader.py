"""Which replica works: the one that holds a Lease. The others keep their caches warm and wait.

A leader may write only for two thirds of the lease's duration after its last renewal was *sent*, and each of its requests is given up
within the last third. So when others may take the lease, which they do a whole duration after they *saw* it renewed, the old
leader's last write is over. Only monotonic clocks of one machine each are compared, so a clock that is set changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from clew_operator.bodies import lease_body
from clew_operator.client import Api, ApiError, Fault
from clew_operator.kinds import Kind

LEASE = "clew-operator"

_LOG = logging.getLogger("clew.leader")
_TRIES = 7.5  # a lease's duration over the time between two tries


class DeposedError(RuntimeError):
    """This replica may not write, or not any more."""


@dataclass(frozen=True, slots=True)
class Record:
    """A lease as it was seen."""

    holder: str
    seconds: int
    acquired: str
    renewed: str
    transitions: int
    version: str


def read_lease(document: Mapping[str, Any]) -> Record:
    """A Lease object; what nobody has written counts as empty."""
    spec = document.get("spec") or {}
    return Record(
        spec.get("holderIdentity") or "",
        spec.get("leaseDurationSeconds") or 0,
        spec.get("acquireTime") or "",
        spec.get("renewTime") or "",
        spec.get("leaseTransitions") or 0,
        document["metadata"]["resourceVersion"],
    )


class Election:
    """The rules, without a clock and without requests. Times are of a monotonic clock, in seconds."""

    def __init__(self, identity: str, seconds: int) -> None:
        self.identity = identity
        self.seconds = seconds
        self.record: Record | None = None
        self.term = 0
        self._seen = 0.0
        self._renewed: float | None = None

    def saw(self, record: Record | None, now: float) -> None:
        """Take in the lease as it was read; None where there is none."""
        known = self.record
        if record is None or known is None or (record.holder, record.renewed) != (known.holder, known.renewed):
            self._seen = now
        self.record = record
        if record is None or record.holder != self.identity:
            self._renewed = None

    def may_take(self, now: float) -> bool:
        """Whether the lease may be written with this replica as its holder."""
        record = self.record
        return record is None or record.holder in ("", self.identity) or now >= self._seen + max(record.seconds, self.seconds)

    def took(self, record: Record, asked: float) -> None:
        """Take note that the lease was written for this replica, by a request sent at ``asked``."""
        if not self.leads(asked):
            self.term += 1
        self.record, self._seen, self._renewed = record, asked, asked

    def gave_up(self) -> None:
        """Take note that this replica will not write any more."""
        self._renewed = None

    def leads(self, now: float) -> bool:
        """Whether this replica may begin a write."""
        return self._renewed is not None and now < self._renewed + self.seconds * 2 / 3

    def time_left(self, now: float) -> float:
        """How long a write that begins now may take at most; raises :class:`DeposedError` where none may begin."""
        if not self.leads(now):
            raise DeposedError("this replica does not hold the lease")
        return self.seconds / 3


class Leader:
    """Holds the lease, or tries to, in a thread of its own. ``changed`` is called when this replica begins or ends to lead."""

    def __init__(self, api: Api, namespace: str, election: Election, changed: Callable[[], None]) -> None:
        self._api = api
        self._namespace = namespace
        self._election = election
        self._changed = changed
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._touched = time.monotonic() - election.seconds
        self._thread = threading.Thread(target=self._run, name="leader", daemon=True)

    def start(self) -> None:
        """Begin to try."""
        self._thread.start()

    def term(self) -> int | None:
        """The number of this replica's term while it leads, which is never the same again; None while it does not."""
        with self._lock:
            return self._election.term if self._election.leads(time.monotonic()) else None

    def time_left(self) -> float:
        """How long a write that begins now may take at most. Raises :class:`DeposedError`."""
        with self._lock:
            return self._election.time_left(time.monotonic())

    def in_touch(self) -> bool:
        """Whether the API server has answered for the lease lately."""
        with self._lock:
            return time.monotonic() < self._touched + self._election.seconds

    def stop(self) -> None:
        """End, and give the lease back so that another replica need not wait. Nothing may be written after."""
        self._stop.set()
        self._thread.join()
        with self._lock:
            mine = self._election.leads(time.monotonic())
            self._election.gave_up()
        if mine:
            try:
                self._write(holder="", seconds=1)
                _LOG.info("gave the lease back")
            except ApiError as error:
                _LOG.warning("could not give the lease back", extra={"error": str(error)})

    def _run(self) -> None:
        led = False
        while True:
            try:
                self._try()
            except ApiError as error:
                # A conflict is another replica's success; what it is will be read at the next try.
                if error.fault is not Fault.CONFLICT:
                    _LOG.warning("the lease could not be read or written", extra={"fault": error.fault.value, "error": str(error)})
                with self._lock:
                    self._election.record = None if error.fault is Fault.MISSING else self._election.record
            leads = self.term() is not None
            if leads != led:
                led = leads
                _LOG.info("leads" if leads else "leads no longer", extra={"identity": self._election.identity})
                self._changed()
            if self._stop.wait(self._election.seconds / _TRIES):
                return

    def _try(self) -> None:
        """Read the lease, and write it if that is allowed."""
        asked = time.monotonic()
        try:
            record = read_lease(self._api.get(Kind.LEASE, LEASE, self._namespace, timeout=self._election.seconds / 3))
        except ApiError as error:
            if error.fault is not Fault.MISSING:
                raise
            record = None
        with self._lock:
            self._election.saw(record, time.monotonic())
            self._touched = time.monotonic()
            may = self._election.may_take(time.monotonic())
        if may:
            written = self._write(holder=self._election.identity, seconds=self._election.seconds)
            with self._lock:
                self._election.took(written, asked)

    def _write(self, *, holder: str, seconds: int) -> Record:
        record = self._election.record
        now = datetime.now(UTC)
        stays = record is not None and record.holder == self._election.identity
        body = lease_body(
            self._namespace,
            LEASE,
            holder=holder,
            seconds=seconds,
            acquired=datetime.fromisoformat(record.acquired) if record is not None and stays and record.acquired else now,
            renewed=now,
            transitions=record.transitions + (not stays) if record is not None else 0,
            version=record.version if record is not None else None,
        )
        timeout = self._election.seconds / 3
        if record is None:
            return read_lease(self._api.create(Kind.LEASE, self._namespace, body, timeout=timeout))
        return read_lease(self._api.replace(Kind.LEASE, self._namespace, body, timeout=timeout))
