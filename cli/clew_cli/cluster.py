"""The API server: the objects of Clew's API are read, watched and written here, and nowhere else.

The only module that imports the ``kubernetes`` package, which takes half a second: commands that need a cluster import this one when
they run. What goes wrong becomes a ``CommandError`` that says what to do.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import urllib3
import yaml
from clew_crds.policy import API_VERSION
from kubernetes import client, config, watch
from kubernetes.client.exceptions import ApiException

from clew_cli.errors import CommandError, NotThereError
from clew_cli.seen import Resource
from clew_cli.terminal import one_line

FIELD_MANAGER = "kubectl-clew"
GROUP, VERSION = API_VERSION.split("/")

_PAGE = 500
_WATCH_SECONDS = 300
_ANSWER_SECONDS = 30
_PAUSES = (1, 2, 4, 8, 15, 30)

_CONFIGURATION_ERRORS = (config.ConfigException, yaml.YAMLError, OSError, AttributeError, KeyError, TypeError, ValueError)
"""What the package raises for kubeconfig files: it looks into them as if they were right."""


class _Unreachable(CommandError):
    """No answer from the API server: a watch tries again."""


@dataclass(frozen=True, slots=True)
class Listed:
    """All objects there are, at the beginning of a watch, or when it had to begin anew."""

    objects: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Changed:
    """One object that was made or changed, or is gone."""

    object: Mapping[str, Any]
    gone: bool


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection was lost; it is tried again."""

    sentence: str


class Cluster:
    """One cluster, as the user of a kubeconfig file's context."""

    def __init__(self, kubeconfig: str | None = None, context: str | None = None) -> None:
        """Read the configuration as kubectl does. Raises ``CommandError`` where there is none, or it is wrong."""
        settings = client.Configuration()
        settings.retries = False
        _configure(settings, kubeconfig, context)
        self._server = settings.host
        self._api = client.CustomObjectsApi(client.ApiClient(settings))

    def get(self, resource: Resource, name: str) -> Mapping[str, Any]:
        """The object of that name. Raises ``NotThereError`` where there is none."""
        return self._call("get", resource, self._api.get_cluster_custom_object, name=name)

    def list(self, resource: Resource) -> tuple[Mapping[str, Any], ...]:
        """All objects of the resource."""
        return self._list(resource, {})[0]

    def apply(self, resource: Resource, name: str, body: Mapping[str, Any]) -> None:
        """Write the fields in ``body`` by server-side apply. They are ours: whoever else has written them loses them."""
        apply = self._api.patch_cluster_custom_object
        extra = {"field_manager": FIELD_MANAGER, "force": True, "_content_type": "application/apply-patch+yaml"}
        self._call("patch", resource, apply, name=name, body=dict(body), **extra)

    def follow(self, resource: Resource, name: str | None = None) -> Iterator[Listed | Changed | Lost]:
        """The objects of the resource, or the one called ``name``, and every change of them, without end."""
        chosen = {"field_selector": f"metadata.name={name}"} if name is not None else {}
        failures = 0
        version = ""
        while True:
            try:
                if not version:
                    objects, version = self._list(resource, chosen)
                    yield Listed(objects)
                stream = watch.Watch()  # type: ignore[no-untyped-call]
                for event in self._stream(stream, resource, version, chosen):
                    failures = 0
                    version = event["raw_object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        yield Changed(event["raw_object"], gone=event["type"] == "DELETED")
            except _TooOldError:
                version = ""
            except _Unreachable as error:
                yield Lost(str(error))
                version = ""  # what changed meanwhile may have been forgotten, and the listing tells that the server is back
                time.sleep(_PAUSES[min(failures, len(_PAUSES) - 1)])
                failures += 1

    def _list(self, resource: Resource, chosen: Mapping[str, str]) -> tuple[tuple[Mapping[str, Any], ...], str]:
        objects: list[Mapping[str, Any]] = []
        page: dict[str, str] = {}
        while True:
            answer = self._call("list", resource, self._api.list_cluster_custom_object, limit=_PAGE, **chosen, **page)
            objects += answer["items"]
            if not answer["metadata"].get("continue"):
                return tuple(objects), answer["metadata"]["resourceVersion"]
            page = {"_continue": answer["metadata"]["continue"]}

    def _stream(self, stream: watch.Watch, resource: Resource, version: str, chosen: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        options = {"resource_version": version, "allow_watch_bookmarks": True, "timeout_seconds": _WATCH_SECONDS, **chosen}
        waits = (_ANSWER_SECONDS, _WATCH_SECONDS + _ANSWER_SECONDS)
        try:
            yield from stream.stream(  # type: ignore[no-untyped-call]
                self._api.list_cluster_custom_object, GROUP, VERSION, resource.value, _request_timeout=waits, **options
            )
        except ApiException as error:
            self._tell(error, "watch", resource, "")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _call(self, verb: str, resource: Resource, call: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
        try:
            answer: Mapping[str, Any] = call(GROUP, VERSION, resource.value, _request_timeout=_ANSWER_SECONDS, **arguments)
        except ApiException as error:
            self._tell(error, verb, resource, arguments.get("name", ""))
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from error
        return answer

    def _unreachable(self, error: BaseException) -> _Unreachable:
        return _Unreachable(f"the API server at {self._server} cannot be reached: {_root(error)}")

    def _tell(self, error: ApiException, verb: str, resource: Resource, name: str) -> NoReturn:
        said = _status(error)
        message = str(said.get("message") or error.reason)
        kind = f"{resource.value}.{GROUP}"
        if error.status == 401:
            raise CommandError(f"the API server at {self._server} does not know you (401): log in again, or choose another --context")
        if error.status == 403 and " cannot " in message:
            needs = f'the verb "{verb}" on the resource "{resource.value}" in the API group "{GROUP}"'
            raise CommandError(f"you may not {verb} {kind}: a ClusterRole of yours must have {needs}. {message}")
        if error.status == 404 and not said:
            raise CommandError(f"this cluster has no {kind}: Clew is not installed there. Install its chart: helm install clew charts/clew")
        if error.status == 404:
            raise NotThereError(f'there is no {resource.kind} "{name}"')
        if error.status == 410:
            raise _TooOldError(message)
        if error.status in (429, 500, 502, 503, 504):
            raise _Unreachable(f"the API server at {self._server} cannot answer now ({error.status}): {message}")
        raise CommandError(f"the API server refuses to {verb} {kind} {name} ({error.status}): {message}")


class _TooOldError(CommandError):
    """A watch begins at a version that the server has no longer."""


def _configure(settings: client.Configuration, kubeconfig: str | None, context: str | None) -> None:
    """As kubectl: the named file; else those of KUBECONFIG, or the one in the home folder; else, in a pod, the pod's account."""
    files = kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    there = [path for path in (Path(one).expanduser() for one in files.split(os.pathsep) if one) if path.exists()]
    try:
        if there or kubeconfig is not None or context is not None:
            config.load_kube_config(files, context or _current_context(there), settings, persist_config=False)  # type: ignore[no-untyped-call]
        else:
            config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except _CONFIGURATION_ERRORS as error:
        if there:
            raise CommandError(f"the configuration in {files} cannot be used: {one_line(str(error))}") from error
        raise CommandError(f"no cluster is configured: {files} is not there; set KUBECONFIG or --kubeconfig") from error


def _current_context(files: Sequence[Path]) -> str | None:
    """The first file's that names one, as with kubectl. (The package would take the last file's.)"""
    found = ((yaml.safe_load(file.read_text(encoding="utf-8")) or {}).get("current-context") for file in files)
    return next(filter(None, found), None)


def _status(error: ApiException) -> Mapping[str, Any]:
    """The API server's Status object; empty where the answer is none, as for a path that it does not serve."""
    try:
        said = json.loads(error.body or "")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _root(error: BaseException) -> str:
    """The innermost cause, which says it best."""
    while True:
        inner = getattr(error, "reason", None)
        below = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
        if below is None:
            return getattr(error, "strerror", None) or str(error)
        error = below
