"""Plain requests to the API server under one identity each: what kubectl would ask for on the way is not asked here."""

import json
import time
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import quote

from clew_lab.cluster import Cluster
from urllib3 import PoolManager

GROUP = "/apis/clew.dev/v1alpha1"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"


@dataclass(frozen=True, slots=True)
class Answer:
    """The status code and the object: what was asked for, or the Status that says why not."""

    code: int
    body: dict[str, Any]

    @property
    def message(self) -> str:
        """The Status's message."""
        return str(self.body.get("message", ""))


class Client:
    """Requests with one token, to one API server. Leaving it as a context manager closes the connections."""

    def __init__(self, cluster: Cluster, token: str) -> None:
        self._url = cluster.url
        self._token = token
        self._pool = PoolManager(ca_certs=str(cluster.ca), maxsize=8, retries=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._pool.clear()

    def with_token(self, token: str) -> "Client":
        """The same connections with another token."""
        other = copy(self)
        other._token = token
        return other

    def ask(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The API server's answer, whatever it is."""
        data = None if body is None else json.dumps(body).encode()
        all_headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type, **(headers or {})}
        response = self._pool.request(method, f"{self._url}{path}", body=data, headers=all_headers, timeout=30)
        return Answer(response.status, response.json())

    def get(self, path: str) -> dict[str, Any]:
        """The object at a path that must be there."""
        answer = self.ask("GET", path)
        assert answer.code == 200, answer
        return answer.body

    def apply(self, path: str, body: Mapping[str, Any], manager: str, *, force: bool = True) -> Answer:
        """A server-side apply, which takes no field that is not known, as kubectl's does not."""
        query = f"?fieldManager={manager}&fieldValidation=Strict&force={'true' if force else 'false'}"
        return self.ask("PATCH", path + query, {"apiVersion": "clew.dev/v1alpha1", **body}, APPLY_PATCH)


def bound_token(admin: Client, namespace: str, account: str, kind: str = "", name: str = "", uid: str = "") -> str:
    """A service account's token by TokenRequest, bound to an object where a kind is given."""
    spec: dict[str, Any] = {"audiences": [], "expirationSeconds": 3600}
    if kind:
        spec["boundObjectRef"] = {"apiVersion": "v1", "kind": kind, "name": name, "uid": uid}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{quote(account)}/token"
    answer = admin.ask("POST", path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
    assert answer.code == 201, answer
    return str(answer.body["status"]["token"])


def until(holds: Callable[[], bool]) -> None:
    """Wait for what the API server's caches will soon know; there is no event to wait for."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold within a minute"
        time.sleep(0.05)
