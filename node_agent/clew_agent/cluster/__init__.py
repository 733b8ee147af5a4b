"""Cluster mode: policies, pods and peers from the Kubernetes API, and the node's status to it. Only here is kubernetes imported."""

from typing import Any

Object = dict[str, Any]
"""An object of the API, as JSON has it."""
