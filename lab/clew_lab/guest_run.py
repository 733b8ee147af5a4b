"""One kernel's tests in one guest: what it reports is gathered as it comes, and handed out test by test.

The guest writes JSON lines (:mod:`clew_lab.report_stream`). A guest that dies, hangs or leaves something out owes reports: each
test it owes one for gets a text in its place, the first of them with the guest's last words.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from clew_lab.config import SHARE_MOUNT
from clew_lab.guest import LEAN, GuestOptions, boot
from clew_lab.image import Image

__all__ = ["Answer", "GuestRun", "Wanted"]

Answer = dict[str, Any] | str
"""A serialized report, or the reason why there is none."""

_BOOT_SECONDS = 240.0
_LOOK_SECONDS = 5.0
_MEMORY = "3G"
# A guest lives on what other tests leave of the processors. It does not notice: each instruction takes a nanosecond of its time, so that
# what waits in it for something waits no shorter than on a machine that is its own. It has one
# virtual processor: several would take turns.
_SCARCE = 3  # times as long as on a processor of its own may a guest be silent
_TAIL_LINES = 80
_CONSOLE_CHARACTERS = 6000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Tests by their ids, and how many seconds one phase of the slowest may take."""

    ids: tuple[str, ...]
    limit: float


class GuestRun:
    """A guest that runs tests, from its boot to its end."""

    def __init__(self, image: Image, kernel: str, wanted: Wanted, command: Callable[[str], list[str]]) -> None:
        """Boot a guest; `command` takes the path of the file with the tests' ids and returns what to run."""
        self._kernel = kernel
        self._patience = _SCARCE * (wanted.limit + _BOOT_SECONDS)
        self._heard = time.monotonic()
        self._reports: dict[str, list[dict[str, Any]]] = {}
        self._done: set[str] = set()
        self._running = ""
        self._end = ""
        self._last_words_given = False
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._news = threading.Condition()
        environment = {"CLEW_REPORT_FD": "3", "PYTHONFAULTHANDLER": "1"}
        options = GuestOptions(kernel, memory=_MEMORY, cpus=1, environment=environment, counted=True, parameters=LEAN, gives_way=True)
        ids = "".join(f"{name}\n" for name in wanted.ids)
        self._guest = boot(image, options, command(f"{SHARE_MOUNT}/ids"), {"ids": ids})
        self._output = threading.Thread(target=self._gather_output, daemon=True)
        self._gathering = threading.Thread(target=self._gather_reports, daemon=True)
        self._output.start()
        self._gathering.start()

    def answers(self, nodeid: str) -> Iterator[Answer]:
        """Yield a test's reports as they come, and a text at the end if the guest owes more."""
        given = 0
        while True:
            with self._news:
                while len(self._reports.get(nodeid, ())) <= given and nodeid not in self._done and not self._over():
                    self._news.wait(_LOOK_SECONDS)
                ready = self._reports.get(nodeid, [])[given:]
                whole = nodeid in self._done
            given += len(ready)
            yield from ready
            if whole:
                return
            if not ready:
                yield self._excuse()
                return

    def end(self) -> None:
        """End the guest, whatever it is doing."""
        self._guest.kill()
        self._gathering.join()
        self._guest.end()

    def _over(self) -> bool:
        """Tell whether nothing more will come, which includes a guest that has been silent for too long."""
        if not self._end and time.monotonic() - self._heard > self._patience:
            self._end = f"said nothing for {self._patience:g} s"
            self._guest.kill()
        return bool(self._end)

    def _excuse(self) -> str:
        """Return why a report is missing; the guest's last words go with the first of them."""
        text = f"the guest with kernel {self._kernel} {self._end}"
        if self._running:
            text += f", in {self._running}"
        if not self._last_words_given:
            self._last_words_given = True
            console = self._guest.console()[-_CONSOLE_CHARACTERS:]
            text += f"\n--- its last output\n{''.join(self._tail)}--- its kernel's last messages\n{console}"
        return text

    def _gather_reports(self) -> None:
        for line in self._guest.stdout:
            with self._news:
                self._take(json.loads(line))
                self._news.notify_all()
        status = self._guest.wait()
        self._output.join()
        with self._news:
            self._end = self._end or f"ended with status {status}"
            self._news.notify_all()

    def _take(self, message: dict[str, Any]) -> None:
        self._heard = time.monotonic()
        match message:
            case {"start": nodeid}:
                self._running = nodeid
            case {"report": data}:
                self._reports.setdefault(data["nodeid"], []).append(data)
            case {"done": nodeid}:
                self._done.add(nodeid)
                self._running = ""

    def _gather_output(self) -> None:
        for line in self._guest.stderr:
            self._tail.append(line.decode(errors="replace"))
