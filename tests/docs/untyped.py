"""The commands of the docs that no test types as they stand there, each with what holds it instead. The only place for such.

A command that is not here must be typed by a test: ``Terminal.documented``, or a ``Stage`` that plays its page.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ELSEWHERE", "NEVER", "PARSED"]

_PARTS = "it would run all tests, or build all that they need, inside of one of them; what its recipe calls is what people and CI run"
_GUESTS = "it starts guests, for minutes; tests/kernel and tests/cluster start theirs by the same code"
_AGENT = "an agent must be alone on its kernel; tests/kernel starts it in guests"

PARSED: Mapping[str, str] = {
    "make demo": "it is `clew-lab demo`, below",
    "make test": _PARTS,
    "make setup": _PARTS,
    "make setup-nodes": _PARTS,
    "make check": _PARTS,
    "make format": "it would change the checkout",
    "make images": "tests/images makes them by the same code",
    "make images ARCH=arm64": "it downloads the packages of another architecture",
    "make bench": "it is `python -m bench`, below",
    "make lock": "it asks a package index for the newest versions",
    "make test-kernel TESTS=tests/kernel/test_guest.py KERNEL=6.1": _PARTS,
    "make test-api": _PARTS,
    "make test-cluster": _PARTS,
    ".venv/bin/pytest 'tests/kernel/test_guest.py::test_root[6.1]'": _PARTS,
    ".venv/bin/pytest tests/api/test_cluster.py -k cel": _PARTS,
    ".venv/bin/pytest tests/cluster/test_nodes.py -k forwarded": _PARTS,
    "WRITE_DOCS=1 .venv/bin/pytest tests/api/test_shown*.py": "it would write the pages that the same tests compare",
    "WRITE_DOCS=1 .venv/bin/pytest tests/unit/test_docs_reference.py": "likewise",
    ".venv/bin/clew-lab run --kernel 6.1 -- python -m pytest tests/kernel/test_guest.py -s": _GUESTS,
    ".venv/bin/clew-lab shell --kernel 6.12": _GUESTS,
    "clew-lab run --counted": _GUESTS,
    "clew-lab demo": "it brings up two nodes of its own; tests/cluster does what it does, on theirs",
    "clew-lab images --arch arm64": "it downloads the packages of another architecture",
    "clew-lab cluster build": "programs are built when tests begin; it would find them there",
    "clew-lab clean": "it would remove what other checkouts use",
    "clew-lab clean --all": "it would remove what all tests use",
    'eval "$(.venv/bin/clew-lab cluster up --nodes 2)"': _GUESTS,
    'eval "$(clew-lab cluster up --nodes 2 --kernel 6.12,6.1)"': _GUESTS,
    "clew-lab cluster node worker-2 log kubelet": "it wants a second node; tests/api/test_cluster_command.py asks of a first one",
    "clew-agent run --policy FILE --pods FILE": _AGENT,
    "clew-agent run --pods FILE": _AGENT,
    "clew-agent run --exporter otlp": _AGENT,
    "clew-operator run [--kubeconfig FILE] [--namespace NAME] [--metrics-address HOST:PORT] [--health-address HOST:PORT] "
    "[--lease-duration 15s] [--resync 10m] [--log-level info]": "a synopsis; tests/api/operators.py starts it",
    "python -m bench": _GUESTS,
    "python -m bench --counted --rounds 1 --seconds 2 --cpus 1": _GUESTS,
    "python -m bench --rounds 3 --seconds 5": _GUESTS,
    "python -m bench --kernel 6.12 --rounds 6 --seconds 20 --only python --policy examples/other.yaml": _GUESTS,
    "python -m bench.cluster": _GUESTS,
    "python -m bench.cluster --rounds 3 --seconds 40 --minutes 5": _GUESTS,
    "python -m bench.rollout": "it measures 8,500 nodes, for minutes; tests/api/test_scale.py measures few in the same way",
}
"""What its program must understand: it is parsed, and not carried out for the reason given. Of `make`, the recipe is shown; of pytest, the
tests are collected."""

_BY_HAND = "tests/images/test_bookinfo.py::test_the_page_of_all_four"
_GENERATE = "tests/unit/test_crd_generate.py::test_generate_writes_what_differs_and_then_nothing_does"
_GIT = "tests/unit/test_lab_git_server.py::test_commits_can_be_fetched_and_reverted"
_NODE = "tests/api/test_cluster_command.py::test_a_cluster_is_brought_up_with_a_real_node_and_ended_without_a_trace"

ELSEWHERE: Mapping[str, str] = {
    "python -m clew_crds.generate": _GENERATE,
    "python -m clew_lab.chart": "tests/unit/test_chart_files.py::test_the_command_names_what_differs_and_mends_it",
    "kubectl explain tracingpolicies.clew.dev.spec.sampling.ratio": "tests/api/test_printing.py::test_kubectl_prints_what_the_page_shows",
    "kubectl apply --server-side -f ratio.yaml": "tests/api/test_printing.py::test_kubectl_refuses_as_the_page_shows",
    "clew-lab cluster node worker-1 run -- uname -r": _NODE,
    "kubectl logs": "tests/cluster/test_nodes.py::test_logs_and_exec_work",
    "kubectl create token": "tests/api/test_cluster.py::test_a_token_bound_to_a_pod_carries_the_pod_s_node",
    "kubectl patch": "tests/api/test_flux.py::test_what_kubectl_writes_into_spec_is_taken_back",
    "git revert": _GIT,
    "git http-backend": _GIT,
    "PORT=9081 ruby details/details.rb &": _BY_HAND,
    "PORT=9082 node ratings/ratings.js &": _BY_HAND,
    "javac -d classes reviews/Reviews.java": _BY_HAND,
    "PORT=9083 RATINGS_URL=http://127.0.0.1:9082 java -cp classes Reviews &": _BY_HAND,
    "PORT=9080 DETAILS_URL=http://127.0.0.1:9081 REVIEWS_URL=http://127.0.0.1:9083 python3 productpage/productpage.py &": _BY_HAND,
    "curl http://127.0.0.1:9080/productpage": _BY_HAND,
}
"""What another test does in its own way, by the name of that test."""

_REGISTRY = "the lab has no registry, and none of the programs that speak to one"

NEVER: Mapping[str, str] = {
    "skopeo copy oci-archive:TAR docker://registry.example.com/clew/operator:0.1.0": _REGISTRY,
    "skopeo copy oci-archive:TAR docker://registry.example.com/clew/agent:0.1.0": _REGISTRY,
    "skopeo copy oci-archive:TAR docker://registry.example.com/bookinfo-details:0.1.0": _REGISTRY,
    "mkdir layout && tar -xf clew-agent-0.1.0.tar -C layout && crane push layout registry.example.com/clew/agent:0.1.0": _REGISTRY,
    "crane push": _REGISTRY,
    "docker load --input clew-agent-0.1.0.tar": "there is no Docker; lab/clew_lab/nodes/disk.py imports the same file with ctr",
    "ctr --namespace k8s.io images import clew-agent-0.1.0.tar": "as root, on a node; lab/clew_lab/nodes/disk.py does so for all nodes",
    "kubectl debug": "it wants an image with a shell; named as a way to look around, not as a command to type",
    "kubectl edit": "it opens an editor",
    "git tag -s vX.Y.Z": "it signs with the key of whoever releases",
    "go list -mod=mod -deps . > /dev/null": "for another Kubernetes: it asks Go's module proxy",
    "go get github.com/fluxcd/source-controller@VERSION github.com/fluxcd/kustomize-controller@VERSION": "for another Flux, likewise",
    "chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    '--disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$(mktemp -d)" --window-size=1500,900 '
    '--virtual-time-budget=3000 --screenshot=waterfall.png "file://$PWD/build/demo.html#kernel=open"': "no part of the lab is a browser",
}
"""What cannot be run here at all, and why. Add to it only what truly cannot."""
