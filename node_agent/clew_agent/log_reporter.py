"""The reporter of standalone mode: nobody reads a status, so what is wrong goes to the log, each problem once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from clew_agent.functions.request import Problem
from clew_agent.loader.load import LoadError
from clew_agent.metrics import Metric
from clew_agent.standing import Standing

_LOG = logging.getLogger("clew.policies")


class LogReporter:
    """A ``Reporter`` that writes problems to the log."""

    def __init__(self) -> None:
        """Nothing has been told yet."""
        self._told: frozenset[Problem] = frozenset()
        self._enforcing = False

    def tell(self, standing: Standing) -> None:
        """Log what is new. Raises ``LoadError`` where the very first policies cannot be enforced: there is nothing to go on with."""
        if standing.refusal and not self._enforcing:
            raise LoadError(standing.refusal)
        if standing.refusal:
            _LOG.error("%s; the policies before stay in force", standing.refusal)
        self._enforcing = self._enforcing or standing.wanted == standing.in_force
        problems = frozenset(problem for found in standing.problems.values() for problem in found)
        for problem in sorted(problems - self._told, key=lambda problem: problem.message):
            _LOG.error("%s: %s", problem.reason, problem.message)
        self._told = problems

    def tell_unable(self, error: Exception) -> None:
        """Raise it: the command ends with its message."""
        raise error

    def begin(self, count: Callable[[], Mapping[Metric, int]]) -> None:
        """Nothing to do: metrics are served, not told."""

    def end(self) -> None:
        """Nothing to do."""
