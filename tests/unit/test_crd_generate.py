"""The files that are made from the models: that those of this checkout are right, and that the check says when some are not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clew_crds.crd import KINDS
from clew_crds.generate import CHECKOUT, definition_text, generated, main
from clew_crds.made_files import differing

DEFINITIONS = ["nodetracings.clew.dev.yaml", "tracingpolicies.clew.dev.yaml", "tracingrevisions.clew.dev.yaml"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for path in generated(CHECKOUT):
        copy = tmp_path / path.relative_to(CHECKOUT)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path


def test_the_files_of_this_checkout_are_what_the_models_say() -> None:
    assert [str(path) for path in differing(generated(CHECKOUT))] == []
    assert sorted(path.name for path in (CHECKOUT / "crds").glob("*.yaml")) == DEFINITIONS


def test_check_names_what_differs_and_leaves_it(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    edited = checkout / "crds" / DEFINITIONS[1]
    edited.write_text(edited.read_text().replace("maxItems: 256", "maxItems: 257"))
    (checkout / "crds" / DEFINITIONS[0]).unlink()
    before = edited.read_text()
    assert main(["--check"], checkout) == 1
    say = "differs from the models; run `python -m clew_crds.generate`"
    assert sorted(capsys.readouterr().err.splitlines()) == [f"crds/{DEFINITIONS[0]}: {say}", f"crds/{DEFINITIONS[1]}: {say}"]
    assert edited.read_text() == before


def test_generate_writes_what_differs_and_then_nothing_does(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "crds" / DEFINITIONS[2]).write_text("")
    assert main([], checkout) == 0
    assert capsys.readouterr().out == f"crds/{DEFINITIONS[2]}\n"
    assert main(["--check"], checkout) == 0
    assert main([], checkout) == 0
    assert capsys.readouterr().out == ""


def test_what_people_wrote_around_the_reference_stays(checkout: Path) -> None:
    page = checkout / "docs" / "api.md"
    page.write_text(page.read_text().replace("| `spec.sampling.ratio` |", "| `spec.sampling.share` |") + "The end.\n")
    assert main([], checkout) == 0
    assert page.read_text() == (CHECKOUT / "docs" / "api.md").read_text() + "The end.\n"


def test_generating_is_deterministic() -> None:
    """Whatever seed hashes have in another process."""
    script = "import sys; from clew_crds.crd import KINDS; from clew_crds.generate import definition_text as text\n"
    script += "sys.stdout.write(''.join(text(kind) for kind in KINDS))"
    environment = {"PYTHONPATH": str(CHECKOUT / "crds"), "PYTHONUTF8": "1"}
    texts = {
        subprocess.run(
            [sys.executable, "-c", script], env=environment | {"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {"".join(definition_text(kind) for kind in KINDS)}


def test_definitions_are_small_enough_for_kubectl_apply() -> None:
    """kubectl keeps what was applied in an annotation, and the API server takes 256 KiB of annotations."""
    sizes = [len(definition_text(kind)) for kind in KINDS]
    assert max(sizes) < 64 * 1024
    assert all(yaml.safe_load(definition_text(kind))["kind"] == "CustomResourceDefinition" for kind in KINDS)
