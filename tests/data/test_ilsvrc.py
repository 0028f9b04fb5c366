"""ILSVRC's archives: unpacked by class, resumed after an interruption, never half done under the
final name.
"""

import hashlib
import io
import tarfile

import pytest

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


def test_everything_is_put_in_its_place(tmp_path, parts):
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


def test_an_interrupted_unpacking_goes_on_and_is_not_used_before(tmp_path, parts, monkeypatch):
    root = tmp_path / "root"
    (root / ".train" / ".n02").mkdir(parents=True)  # broke off in the middle of n02, after n01
    (root / ".train" / ".n02" / "n02_0.JPEG").write_bytes(b"half")
    (root / ".train" / "n01").mkdir()
    (root / ".train" / "n01" / "n01_0.JPEG").write_bytes(b"kept")
    ilsvrc.prepare(root, {"train": parts["train"]}, workers=1)
    assert (root / "train" / "n01" / "n01_0.JPEG").read_bytes() == b"kept"
    assert (root / "train" / "n02" / "n02_0.JPEG").read_bytes() == b"n02 0" * 200
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
