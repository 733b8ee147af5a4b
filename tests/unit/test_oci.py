"""An OCI image as it is written: what its layer holds, what its documents say, and that the same input gives the same bytes."""

import hashlib
import io
import json
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clew_lab.images.oci import ImageConfig, full_name, write_image

NAME = "clew/operator:0.1.0"
CONFIG = ImageConfig(
    entrypoint=("clew-operator",),
    command=("run",),
    user="65532:65532",
    environment={"PATH": "/usr/bin", "LANG": "C.UTF-8"},
    working_dir="/",
    labels={"org.opencontainers.image.version": "0.1.0"},
)


def make_root(root: Path, order: int = 1) -> Path:
    """A root file system; its files are made in this order, or the other way round."""
    for name in ("bin", "tmp", "empty")[::order]:
        (root / name).mkdir(parents=True)
    for name in ("bin/tool", "bin-of-others", "grüße")[::order]:
        (root / name).write_text(name)
    (root / "bin/tool").chmod(0o6755)
    (root / "bin-of-others").chmod(0o640)
    (root / "grüße").chmod(0o644)
    (root / "bin/again").hardlink_to(root / "bin/tool")
    (root / "sbin").symlink_to("bin")
    (root / "tmp").chmod(0o1777)
    os.mkfifo(root / "pipe")
    return root


def documents(image: Path) -> dict[str, Any]:
    """The members of an image's tar, by name: JSON where it is, bytes where not."""
    with tarfile.open(image) as tar:
        content = {member.name: tar.extractfile(member) for member in tar}
        return {name: file.read() for name, file in content.items() if file is not None}


def layer(image: Path) -> tarfile.TarFile:
    members = documents(image)
    manifest = json.loads(members[blob(json.loads(members["index.json"])["manifests"][0])])
    return tarfile.open(fileobj=io.BytesIO(members[blob(manifest["layers"][0])]))


def blob(descriptor: dict[str, Any]) -> str:
    return "blobs/" + str(descriptor["digest"]).replace(":", "/")


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.tar", tmp_path / "second.tar"
    one = make_root(tmp_path / "one")
    other = make_root(tmp_path / "other", order=-1)
    os.utime(other / "bin/again", (1, 1))
    if os.geteuid() == 0:
        os.chown(other / "bin-of-others", 1000, 1000)
    digests = [write_image(first, NAME, one, config=CONFIG), write_image(second, NAME, other, config=CONFIG)]
    assert digests[0] == digests[1]
    assert first.read_bytes() == second.read_bytes()


def test_other_input_gives_another_digest(tmp_path: Path) -> None:
    root = make_root(tmp_path / "root")
    digests = [write_image(tmp_path / "image.tar", NAME, root, config=config) for config in (CONFIG, replace(CONFIG, user="0"))]
    (root / "bin/tool").write_text("changed")
    digests.append(write_image(tmp_path / "image.tar", NAME, root, config=CONFIG))
    assert len(set(digests)) == 3


def test_what_the_layer_holds(tmp_path: Path) -> None:
    image = tmp_path / "image.tar"
    write_image(image, NAME, make_root(tmp_path / "root"), config=CONFIG)
    with layer(image) as tar:
        found = [(member.name, member.type, oct(member.mode), member.linkname, member.size) for member in tar]
        assert {(member.mtime, member.uid, member.gid, member.uname, member.gname) for member in tar} == {(0, 0, 0, "", "")}
        content = tar.extractfile("bin/again")
        assert content is not None
        assert content.read() == b"bin/tool"
    assert found == [
        ("bin", tarfile.DIRTYPE, "0o755", "", 0),
        ("bin-of-others", tarfile.REGTYPE, "0o640", "", 13),
        ("bin/again", tarfile.REGTYPE, "0o755", "", 8),
        ("bin/tool", tarfile.LNKTYPE, "0o755", "bin/again", 0),
        ("empty", tarfile.DIRTYPE, "0o755", "", 0),
        ("grüße", tarfile.REGTYPE, "0o644", "", 7),
        ("sbin", tarfile.SYMTYPE, "0o777", "bin", 0),
        ("tmp", tarfile.DIRTYPE, "0o1777", "", 0),
    ]


def test_every_blob_is_what_its_descriptor_says(tmp_path: Path) -> None:
    image = tmp_path / "image.tar"
    digest = write_image(image, NAME, make_root(tmp_path / "root"), config=CONFIG)
    members = documents(image)
    (described,) = json.loads(members["index.json"])["manifests"]
    manifest = json.loads(members[blob(described)])
    for descriptor in (described, manifest["config"], *manifest["layers"]):
        content = members[blob(descriptor)]
        assert (descriptor["size"], descriptor["digest"]) == (len(content), "sha256:" + hashlib.sha256(content).hexdigest())
    assert described["digest"] == digest
    assert json.loads(members["manifest.json"]) == [
        {"Config": blob(manifest["config"]), "RepoTags": ["docker.io/clew/operator:0.1.0"], "Layers": [blob(manifest["layers"][0])]}
    ]


def test_what_the_documents_say(tmp_path: Path) -> None:
    image = tmp_path / "image.tar"
    write_image(image, NAME, make_root(tmp_path / "root"), config=replace(CONFIG, architecture="arm64"))
    members = documents(image)
    assert json.loads(members["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (described,) = json.loads(members["index.json"])["manifests"]
    assert described["annotations"] == {
        "io.containerd.image.name": "docker.io/clew/operator:0.1.0",
        "org.opencontainers.image.ref.name": "0.1.0",
    }
    assert described["platform"] == {"architecture": "arm64", "os": "linux"}
    manifest = json.loads(members[blob(described)])
    assert json.loads(members[blob(manifest["config"])]) == {
        "architecture": "arm64",
        "os": "linux",
        "config": {
            "Entrypoint": ["clew-operator"],
            "Cmd": ["run"],
            "User": "65532:65532",
            "Env": ["LANG=C.UTF-8", "PATH=/usr/bin"],
            "WorkingDir": "/",
            "Labels": {"org.opencontainers.image.version": "0.1.0"},
        },
        "rootfs": {"type": "layers", "diff_ids": [manifest["layers"][0]["digest"]]},
    }


def test_what_is_not_configured_is_not_said(tmp_path: Path) -> None:
    image = tmp_path / "image.tar"
    write_image(image, NAME, make_root(tmp_path / "root"), config=ImageConfig())
    members = documents(image)
    configurations = [json.loads(content) for name, content in members.items() if name.startswith("blobs/") and b'"rootfs"' in content]
    assert [one["config"] for one in configurations] == [{}]


def test_an_image_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^image 'clew/operator' has no tag: write clew/operator:TAG$"):
        write_image(tmp_path / "image.tar", "clew/operator", make_root(tmp_path / "root"), config=CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["root"]


@pytest.mark.parametrize(
    ("name", "full"),
    [
        ("clew/agent:0.1.0", "docker.io/clew/agent:0.1.0"),
        ("busybox:1", "docker.io/library/busybox:1"),
        ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
        ("localhost/clew:1", "localhost/clew:1"),
        ("registry:5000/clew:1", "registry:5000/clew:1"),
    ],
)
def test_names_are_completed_as_runtimes_do(name: str, full: str) -> None:
    assert full_name(name) == full


@pytest.mark.parametrize("name", ["clew", "registry:5000/clew"])
def test_a_name_needs_a_tag(name: str) -> None:
    with pytest.raises(ValueError, match="has no tag"):
        full_name(name)
