"""ILSVRC's archives: unpacked by class, resumed, counted, and whole under their final names."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile

import pytest
from trees import write

from replication.base import paths
from replication.base.errors import InputError
from replication.data.sources import catalog, ilsvrc

WNIDS = ("n01", "n02", "n03")
PATCHED = ("train/n02_1.JPEG", "val/ILSVRC2010_val_00000002.JPEG")


def tar(path, entries: dict[str, bytes]):
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def inner(wnid: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for n in range(3):
            content = f"{wnid} {n}".encode() * 200
            member = tarfile.TarInfo(f"{wnid}_{n}.JPEG")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def parts(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    files = {
        "kit": tar(source / "kit.tar.gz", {"devkit-1.0/data/meta.mat": b"x"}),
        "val": tar(
            source / "val.tar", {f"val/ILSVRC2010_val_0000000{n}.JPEG": b"bad" for n in (1, 2)}
        ),
        "train": tar(source / "train.tar", {f"{wnid}.tar": inner(wnid) for wnid in WNIDS}),
        "patch": tar(source / "patch.tar", {f"patch_images/{name}": b"good" for name in PATCHED}),
    }
    return {
        part: (path, "md5:" + hashlib.md5(path.read_bytes()).hexdigest())
        for part, path in files.items()
    }


def test_ilsvrc_files_are_unpacked_to_their_places(tmp_path, parts):
    root = ilsvrc.prepare(tmp_path / "root", parts, workers=2)
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.JPEG"))
    assert names == [f"train/{w}/{w}_{n}.JPEG" for w in WNIDS for n in range(3)] + [
        f"val/ILSVRC2010_val_0000000{n}.JPEG" for n in (1, 2)
    ]
    assert (root / "train/n03/n03_2.JPEG").read_bytes() == b"n03 2" * 200
    assert (
        (root / "train/n02/n02_1.JPEG").read_bytes()
        == (root / "val/ILSVRC2010_val_00000002.JPEG").read_bytes()
        == b"good"
    )
    assert (root / "devkit-1.0" / "data" / "meta.mat").is_file()


def test_an_interrupted_unpacking_resumes_and_is_not_used_before(tmp_path, parts, monkeypatch):
    root = tmp_path / "root"
    (root / ".train" / ".n02").mkdir(parents=True)  # broke off in the middle of n02, after n01
    (root / ".train" / ".n02" / "n02_0.JPEG").write_bytes(b"half")
    (root / ".train" / "n01").mkdir()
    for n in range(3):
        (root / ".train" / "n01" / f"n01_{n}.JPEG").write_bytes(b"kept")
    (root / ".train" / "n03").mkdir()  # images were lost here
    (root / ".train" / "n03" / "n03_1.JPEG").write_bytes(b"kept")
    ilsvrc.prepare(root, {"train": parts["train"]}, workers=1)
    assert (root / "train" / "n01" / "n01_0.JPEG").read_bytes() == b"kept"
    for key in ("n02", "n03"):
        assert len(list((root / "train" / key).iterdir())) == 3
        assert (root / "train" / key / f"{key}_0.JPEG").read_bytes() == f"{key} 0".encode() * 200
    assert not (root / ".train").exists()
    monkeypatch.setattr(ilsvrc, "_UNPACK", {})  # any further unpacking would fail
    ilsvrc.prepare(root, {"train": parts["train"]})


def test_a_wrong_hash_and_a_cut_archive_are_refused(tmp_path, parts):
    path, known = parts["val"]
    path.write_bytes(path.read_bytes()[:1200])
    for known_hash in (known, ""):
        with pytest.raises(InputError, match=r"val\.tar"):
            ilsvrc.prepare(tmp_path / "root", {"val": (path, known_hash)})
    assert not (tmp_path / "root" / "val").exists()


def test_get_says_exactly_which_files_are_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path))
    (tmp_path / "ILSVRC2012_img_val.tar").write_bytes(b"x")
    with pytest.raises(InputError) as error:
        catalog.get("ilsvrc2012")
    text = str(error.value)
    assert "ILSVRC2012_img_train.tar" in text and "devkit_t12" in text and "img_val" not in text
    assert str(tmp_path) in text and "account" in text and "\n" not in text


def test_two_processes_lose_no_image(tmp_path, parts):
    """The second one waits for the first, and finds everything done."""
    program = (
        "import json, sys; from pathlib import Path; from replication.data.sources import ilsvrc\n"
        "if __name__ == '__main__': ilsvrc.prepare(Path(sys.argv[1]), "
        "{k: (Path(p), h) for k, (p, h) in json.loads(sys.argv[2]).items()}, workers=1)"
    )
    script = tmp_path / "unpack.py"
    script.write_text(program)
    listed = json.dumps({part: (str(path), known) for part, (path, known) in parts.items()})
    command = [sys.executable, str(script), str(tmp_path / "root"), listed]
    children = [subprocess.Popen(command, cwd=paths.ROOT) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert len(list((tmp_path / "root").rglob("*.JPEG"))) == 3 * len(WNIDS) + 2


def test_a_split_is_not_done_before_its_images_are_counted(tmp_path, parts):
    with pytest.raises(InputError, match="holds 9 of 10 images"):
        ilsvrc.prepare(tmp_path / "root", {"train": parts["train"]}, images={"train": 10})
    assert not (tmp_path / "root" / ".train.done").exists()


def test_get_takes_a_tree_that_is_there_and_names_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path))
    counts = {"train": 3, "val": 2}
    known = catalog.find("ilsvrc2012")
    small = known.model_copy(
        update={
            "parts": tuple(
                part.model_copy(update={"images": counts.get(part.part)}) for part in known.parts
            )
        }
    )
    monkeypatch.setattr(catalog, "_catalog", lambda: {"ilsvrc2012": small})
    kaggle = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    write(kaggle, {f"train/{key}/{key}_1.JPEG": b"x" for key in WNIDS})
    with pytest.raises(InputError, match=r"devkit_t12.tar.gz, ILSVRC2012_img_val.tar missing"):
        catalog.get("ilsvrc2012")
    assert catalog.listing()[0]["present"] == ["train"]
    write(kaggle, {f"val/ILSVRC2012_val_0000000{n}.JPEG": b"x" for n in (1, 2)})
    write(tmp_path, {"LOC_val_solution.csv": b"ImageId,x\nILSVRC2012_val_00000001,n01 1\n"})
    assert catalog.get("ilsvrc2012") == tmp_path / "ILSVRC"
    (kaggle / "train" / "n02" / "n02_1.JPEG").unlink()
    with pytest.raises(InputError, match="train holds 2 of 3 images"):
        catalog.get("ilsvrc2012")
