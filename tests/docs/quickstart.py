"""The quick start, typed as it stands: on played nodes in seconds (tests/api), and on real ones (tests/cluster)."""

from __future__ import annotations

from tests.docs.terminal import Terminal

__all__ = ["install", "leave", "trace"]

_IMAGES = "registry.example.com/clew"
_ENDPOINT = "otlp.endpoint=http://otel-collector.observability:4318"


def install(terminal: Terminal, endpoint: str, more: str = "") -> None:
    """Install the chart with the lab's images, which have no registry in their names; ``more`` are further settings."""
    terminal.documented(
        "helm install clew charts/clew --namespace clew-system --create-namespace --wait --timeout 10m "
        "--set image.repository=registry.example.com/clew --set otlp.endpoint=http://otel-collector.observability:4318",
        {_IMAGES: "clew", _ENDPOINT: f"otlp.endpoint={endpoint} {more}"},
    )


def trace(terminal: Terminal) -> None:
    """Apply the policy of the book shop, and wait until all nodes enforce it."""
    terminal.documented("kubectl apply --filename examples/bookinfo.yaml")
    terminal.documented("kubectl wait tracingpolicies.clew.dev/bookinfo --for=condition=Ready --timeout=10m")
    shown = terminal.documented("kubectl get tracingpolicies.clew.dev,nodetracings.clew.dev")
    assert "tracingpolicy.clew.dev/bookinfo" in shown
    assert "nodetracing.clew.dev/" in shown


def leave(terminal: Terminal) -> None:
    """Delete the policy, and take the chart away."""
    terminal.documented("kubectl delete --filename examples/bookinfo.yaml")
    terminal.documented("helm uninstall clew --namespace clew-system")
