"""Access to the API server: a request, an answer; with the token of the pod's service account, or as a kubeconfig says.

The kubernetes package finds out how to get in, and its connection pool is used; its models are not, since all objects here are
read by fields of their own. Whether the server can be reached is told to the log once when that changes, whoever asks.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.incluster_config import load_incluster_config
from kubernetes.config.kube_config import load_kube_config

from clew_agent.cluster import Object
from clew_agent.mode import ModeError

_LOG = logging.getLogger("clew.cluster")
_CONNECT, _READ = 5.0, 30.0  # seconds
_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LATE = 30.0  # seconds beyond its end that a watch may be silent


class ApiError(Exception):
    """The API server refused; ``status`` is HTTP's. 0: it could not be reached."""

    def __init__(self, status: int, message: str) -> None:
        """Keep the status beside the message."""
        super().__init__(message)
        self.status = status

    @property
    def passes(self) -> bool:
        """Whether it passes by itself: the server is away, is busy (429), or has just begun (503)."""
        return self.status in (0, 429, 503)


class Api:
    """The API server. All methods may be called by any thread, and raise :class:`ApiError`."""

    def __init__(self, configure: Callable[[], Configuration]) -> None:
        """``configure`` reads where the server is and who we are; it is asked again when the server does not know us any more."""
        self._configure = configure
        self._lock = threading.Lock()
        self._away = False
        self._enter()

    def get(self, path: str, query: Mapping[str, str] | None = None, accept: str = "application/json") -> Object:
        """Read an object or a list."""
        with self._open("GET", path, query, {"Accept": accept}) as response:
            return _parse(response.data)

    def apply_status(self, path: str, document: Object, manager: str) -> Object:
        """Write an object's status by server-side apply, as the field manager of that name. ``path`` is the object's."""
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = {"fieldManager": manager, "force": "true"}
        with self._open("PATCH", f"{path}/status", query, headers, json.dumps(document).encode()) as response:
            return _parse(response.data)

    def watch(self, path: str, query: Mapping[str, str], accept: str, seconds: int, opened: Callable[[Any], None]) -> Iterator[Object]:
        """The events of a watch, until the server ends it after ``seconds``. ``opened`` gets what :func:`shut` takes."""
        whole = {**query, "watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(seconds)}
        with self._open("GET", path, whole, {"Accept": accept}, read=seconds + _LATE) as response:
            opened(response)
            rest = b""
            try:
                for part in response.stream(1 << 16, decode_content=True):
                    *lines, rest = (rest + part).split(b"\n")
                    yield from (_parse(line) for line in lines if line)
            except (urllib3.exceptions.HTTPError, OSError) as error:
                raise ApiError(0, f"the watch was cut: {error}") from error

    def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: bytes | None = None,
        read: float = _READ,
    ) -> urllib3.BaseHTTPResponse:
        response = self._send(method, path, query, headers, body, read)
        if response.status == 401:
            # The token was rotated, or the kubeconfig was written anew.
            response.drain_conn()
            self._enter()
            response = self._send(method, path, query, headers, body, read)
        if response.status >= 400:
            raise ApiError(response.status, _reason(response))
        return response

    def _send(
        self, method: str, path: str, query: Mapping[str, str] | None, headers: Mapping[str, str], body: bytes | None, read: float
    ) -> urllib3.BaseHTTPResponse:
        configuration, pool = self._entered
        url = f"{configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        settings: Mapping[str, Any] = configuration.auth_settings()
        known = {one["key"]: one["value"] for one in settings.values() if one["in"] == "header"}
        timeout = urllib3.Timeout(connect=_CONNECT, read=read)
        try:
            response: urllib3.BaseHTTPResponse = pool.request(
                method, url, headers={**headers, **known}, body=body, timeout=timeout, retries=False, preload_content=False
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            self._note(away=True, why=f"{configuration.host}: {error}")
            raise ApiError(0, f"the API server at {configuration.host} cannot be reached: {error}") from error
        self._note(away=False)
        return response

    def _enter(self) -> None:
        configuration = self._configure()
        self._entered = configuration, ApiClient(configuration).rest_client.pool_manager

    def _note(self, *, away: bool, why: str = "") -> None:
        with self._lock:
            changed, self._away = self._away != away, away
        if changed and away:
            _LOG.warning("the API server cannot be reached; what is enforced stays as it is (%s)", why)
        elif changed:
            _LOG.info("the API server can be reached again")


def shut(response: Any) -> None:
    """End a watch from another thread: its iterator stops or raises :class:`ApiError`."""
    response.shutdown()


def own_namespace(kubeconfig: Path | None) -> str:
    """The namespace of the pod that this is; empty for what is none."""
    try:
        return _NAMESPACE.read_text().strip() if kubeconfig is None else ""
    except OSError:
        return ""


def connect(kubeconfig: Path | None) -> Api:
    """The API server of a kubeconfig, or the one that this pod belongs to. Raises ``ModeError``."""

    def configure() -> Configuration:
        configuration = Configuration()
        if kubeconfig is None:
            load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            load_kube_config(str(kubeconfig), client_configuration=configuration, persist_config=False)  # type: ignore[no-untyped-call]
        return configuration

    try:
        return Api(configure)
    except (ConfigException, OSError) as error:
        hint = "run as a pod with a service account, or give --kubeconfig FILE" if kubeconfig is None else f"see {kubeconfig}"
        raise ModeError(f"the Kubernetes API cannot be found: {error}; {hint}") from error


def _parse(data: bytes) -> Object:
    try:
        found = json.loads(data)
    except ValueError as error:
        raise ApiError(0, f"the API server answers with no JSON: {data[:100]!r}") from error
    if not isinstance(found, dict):
        raise ApiError(0, f"the API server answers with no object: {data[:100]!r}")
    return found


def _reason(response: urllib3.BaseHTTPResponse) -> str:
    try:
        return str(json.loads(response.data)["message"])
    except (ValueError, LookupError, TypeError, urllib3.exceptions.HTTPError):
        return f"the API server answers {response.status} {response.reason}"
