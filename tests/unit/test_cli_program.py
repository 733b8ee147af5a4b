"""The program as it is called: under which name, with which modules, and without a cluster."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clew_cli.main import main, program_name

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join([str(ROOT / "crds"), str(ROOT / "cli")])}
SPAN = "0003000400000007"
LOADED = "import sys; from clew_cli.main import main; main(sys.argv[1:]); print({'kubernetes', 'urllib3'} & set(sys.modules))"

NOTHING_LISTENS = """\
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: here, context: {cluster: c, user: u}}]
current-context: here
"""


def clew(*arguments: str, home: Path, **environment: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "clew_cli.main", *arguments]
    done = subprocess.run(command, env=ENVIRONMENT | {"HOME": str(home)} | environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("called", "name"),
    [
        ("/usr/bin/clew", "clew"),
        ("/usr/local/bin/kubectl-clew", "kubectl clew"),
        ("kubectl-clew.exe", "kubectl clew"),
        ("/x/clew_cli/main.py", "clew"),
    ],
)
def test_its_name(called: str, name: str) -> None:
    assert program_name(called) == name


def test_as_a_plugin_it_speaks_as_kubectl_does(tmp_path: Path) -> None:
    plugin = tmp_path / "kubectl-clew"
    plugin.write_text(f"#!{sys.executable}\nfrom clew_cli.main import main\nraise SystemExit(main())\n")
    plugin.chmod(0o755)
    done = subprocess.run([plugin, "decode", "x"], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.stderr == 'kubectl clew decode: "x" is no identifier: only hexadecimal digits are allowed\n'
    usage = subprocess.run([plugin, "promote", "--help"], env=ENVIRONMENT, capture_output=True, text=True, check=True).stdout
    assert usage.startswith("usage: kubectl clew promote [-h] [--wait] ")


def test_commands_without_a_cluster_do_not_load_what_speaks_to_one() -> None:
    command = [sys.executable, "-c", LOADED, "decode", SPAN]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_no_configuration(tmp_path: Path) -> None:
    said = "clew status: no cluster is configured: ~/.kube/config is not there; set KUBECONFIG or --kubeconfig\n"
    assert clew("status", home=tmp_path) == (2, "", said)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    missing = tmp_path / "none"
    said = f"clew status: no cluster is configured: {missing} is not there; set KUBECONFIG or --kubeconfig\n"
    assert clew("status", "--kubeconfig", str(missing), home=tmp_path) == (2, "", said)
    assert clew("status", home=tmp_path, KUBECONFIG=str(missing)) == (2, "", said)


@pytest.mark.parametrize("text", ["", "a: `", "[]", "clusters: 1", "just text"])
def test_a_file_that_is_no_kubeconfig(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    assert main(["status", "--kubeconfig", str(file)]) == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith(f"clew status: the configuration in {file} cannot be used: ")


def test_a_context_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(NOTHING_LISTENS)
    status, out, err = clew("status", "--context", "there", home=tmp_path, KUBECONFIG=str(file))
    assert (status, out) == (2, "")
    assert err.startswith(f"clew status: the configuration in {file} cannot be used: ")
    assert "Expected object with name there in" in err


@pytest.mark.parametrize("command", [["status"], ["status", "--watch"], ["promote", "shop"], ["status", "--node", "n1"]])
def test_a_server_that_does_not_answer(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").write_text(NOTHING_LISTENS)
    said = f"clew {command[0]}: the API server at https://127.0.0.1:1 cannot be reached: Connection refused\n"
    assert (main(command), *capsys.readouterr()) == (2, "", said)


def test_check_asks_the_cluster_only_where_a_policy_is_valid(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("kind: 1")
    status, _, err = clew("check", str(bad), "--node", "n1", home=tmp_path)
    assert status == 1
    assert "no cluster" not in err
