"""The operator's way to the API server: one table of kinds, the few verbs that are needed, and errors told apart by what to do next.

It is the ``kubernetes`` package's dynamic client without its discovery: which kinds there are is known, and a look around the whole
API at each start would cost dozens of requests and a cache file. The client retries nothing by itself: whoever calls decides.
"""

from __future__ import annotations

import enum
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client, config
from kubernetes.dynamic import DynamicClient, Resource
from kubernetes.dynamic.exceptions import DynamicApiError
from urllib3.exceptions import HTTPError

from clew_operator.kinds import FIELD_MANAGER, Kind

PAGE = 250
"""Objects that are asked for at one time: nodes carry the names of all their images, so a list of them is large."""

READ_TIMEOUT = 30.0
WRITE_TIMEOUT = 5.0
"""Seconds. A write must be over before another replica could take the lease (``leader.py``)."""

_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


class Fault(enum.StrEnum):
    """Why a request failed, by what is to be done about it."""

    CONFLICT = "conflict"
    """Somebody else was quicker (409): look again."""
    MISSING = "missing"
    """There is no such object, or no such kind yet (404)."""
    THROTTLED = "throttled"
    """The API server wants fewer requests (429)."""
    SERVER = "server"
    """The API server could not do it (5xx)."""
    UNREACHABLE = "unreachable"
    """No answer: no connection, or none in time."""
    REFUSED = "refused"
    """The request is wrong or not allowed (other 4xx): trying again soon will not help."""


class ApiError(Exception):
    """A request that failed. ``retry_after`` are the seconds that the API server asked for, else 0."""

    def __init__(self, fault: Fault, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.fault = fault
        self.retry_after = retry_after


class ConnectionSettingsError(RuntimeError):
    """There is no usable kubeconfig and no service account; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects of a kind at one moment, which ``version`` names."""

    objects: tuple[Mapping[str, Any], ...]
    version: int


def load_configuration(kubeconfig: Path | None) -> Any:
    """How to reach the API server: by ``kubeconfig``, else by the pod's service account. Raises :class:`ConnectionSettingsError`."""
    settings = client.Configuration()
    try:
        if kubeconfig is not None:
            config.load_kube_config(config_file=str(kubeconfig), client_configuration=settings, persist_config=False)  # type: ignore[no-untyped-call]
        else:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        where = str(kubeconfig) if kubeconfig is not None else "the service account of this pod"
        hint = "" if kubeconfig is not None else "; outside of a cluster, name a file with --kubeconfig"
        raise ConnectionSettingsError(f"cannot take the API server's address and credentials from {where}: {error}{hint}") from error
    settings.retries = False
    return settings


def own_namespace() -> str | None:
    """The namespace of the pod that this process runs in; None outside of a cluster."""
    try:
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip() or None
    except OSError:
        return None


def own_identity() -> str:
    """A name for this process that no other has, not even the one after a restart of the same pod."""
    return f"{os.uname().nodename}_{os.urandom(4).hex()}"


class Api:
    """Requests to the API server, for any thread. Objects are plain dictionaries. Every failure is an :class:`ApiError`."""

    def __init__(self, settings: Any, connections: int = 16) -> None:
        settings.connection_pool_maxsize = connections
        self._client = DynamicClient(client.ApiClient(settings), discoverer=lambda *_: None)  # type: ignore[no-untyped-call]
        self._resources = {
            kind: Resource(  # type: ignore[no-untyped-call]
                prefix="apis" if kind.group else "api",
                group=kind.group,
                api_version=kind.version,
                kind=kind.kind,
                name=kind.plural,
                namespaced=kind.namespaced,
                client=self._client,
                subresources={"status": {"kind": kind.kind, "name": f"{kind.plural}/status"}},
            )
            for kind in Kind
        }

    def get(self, kind: Kind, name: str, namespace: str | None = None, *, timeout: float = WRITE_TIMEOUT) -> dict[str, Any]:
        """One object."""
        return self._ask(self._resources[kind].get, timeout, name=name, namespace=namespace)

    def list(self, kind: Kind, field_selector: str = "") -> Listing:
        """All objects of a kind, in pages. The first page is as fresh as a read can be, and the others are of the same moment."""
        objects: list[Mapping[str, Any]] = []
        following = None
        while True:
            page = self._ask(
                self._resources[kind].get, READ_TIMEOUT, limit=PAGE, _continue=following, field_selector=field_selector or None
            )
            # The items of a list do not say what they are, but for those of custom resources.
            objects += [{"apiVersion": kind.api_version, "kind": kind.kind, **one} for one in page["items"]]
            following = page["metadata"].get("continue")
            if not following:
                return Listing(tuple(objects), int(page["metadata"]["resourceVersion"]))

    def apply(self, kind: Kind, body: Mapping[str, Any], *, status: bool = False, timeout: float = WRITE_TIMEOUT) -> dict[str, Any]:
        """Server-side apply of an object or its status, as the field manager ``clew-operator``; the object as it is then."""
        resource = self._resources[kind]
        target = resource.subresources["status"] if status else resource
        return self._ask(target.server_side_apply, timeout, body=body, field_manager=FIELD_MANAGER, force_conflicts=True)

    def create(self, kind: Kind, namespace: str, body: Mapping[str, Any], *, timeout: float = WRITE_TIMEOUT) -> dict[str, Any]:
        """A new object; CONFLICT when there is one of this name."""
        return self._ask(self._resources[kind].create, timeout, body=body, namespace=namespace)

    def replace(self, kind: Kind, namespace: str, body: Mapping[str, Any], *, timeout: float = WRITE_TIMEOUT) -> dict[str, Any]:
        """The object anew; CONFLICT when it is no longer of the ``resourceVersion`` in ``body``."""
        return self._ask(self._resources[kind].replace, timeout, body=body, namespace=namespace)

    def delete(self, kind: Kind, name: str, uid: str, *, timeout: float = WRITE_TIMEOUT) -> None:
        """Delete the object of this name and ``uid``; that it is gone already is as good."""
        try:
            self._ask(self._resources[kind].delete, timeout, name=name, body={"preconditions": {"uid": uid}})
        except ApiError as error:
            if error.fault is not Fault.MISSING:
                raise

    @staticmethod
    def _ask(verb: Any, timeout: float, **arguments: Any) -> dict[str, Any]:
        try:
            response = verb(serialize=False, _request_timeout=timeout, **arguments)
            answer: dict[str, Any] = json.loads(response.data)
        except DynamicApiError as error:
            raise _told_apart(error) from error
        except (HTTPError, OSError) as error:
            raise ApiError(Fault.UNREACHABLE, f"the API server does not answer: {error}") from error
        return answer


def _told_apart(error: DynamicApiError) -> ApiError:
    known = {404: Fault.MISSING, 409: Fault.CONFLICT, 429: Fault.THROTTLED}
    fault = known.get(error.status, Fault.SERVER if error.status >= 500 else Fault.REFUSED)
    return ApiError(fault, f"{error.status} {error.reason}: {_message(error.body)}", _seconds((error.headers or {}).get("Retry-After")))


def _message(body: Any) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body)
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200]


def _seconds(header: str | None) -> float:
    return float(header) if header is not None and header.isdecimal() else 0.0
