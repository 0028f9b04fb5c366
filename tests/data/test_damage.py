"""Only what the decoder says of pixels is damage: not metadata, not limits, not the machine."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from trees import encoded, jpeg, write

from replication.base.errors import InputError
from replication.data.files.decode import Unreachable, Unreadable, decode
from replication.data.files.index import index_folder
from replication.data.loader import open_loaders
from replication.data.prepared.store import prepare
from replication.data.prepared.verify import readable, verify
from replication.recipe import CifarNetSpec, Data, Recipe, Update

GOOD = jpeg(256, restart_marker_rows=1)
PLAIN = jpeg(128)
PROGRESSIVE = jpeg(128, progressive=True)
END = b"\xff\xd9"


def restarts(content: bytes) -> list[int]:
    scan = content.index(b"\xff\xda")
    return [
        at
        for at in range(scan, len(content) - 1)
        if content[at] == 0xFF and 0xD0 <= content[at + 1] <= 0xD7
    ]


def zeroed(content: bytes, count: int) -> bytes:
    half = len(content) // 2
    return content[:half] + bytes(count) + content[half + count :]


def cut(image: Image.Image, **options: object) -> bytes:
    content = encoded(image, "JPEG", **options)
    return content[: len(content) * 3 // 5] + END


NOISE = Image.fromarray(np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8))
TURNED = Image.Exif()
TURNED[0x0112] = 6
R = restarts(GOOD)
DAMAGED = {
    "grey, cut and closed": cut(NOISE.convert("L")),
    "CMYK, cut and closed": cut(NOISE.convert("CMYK")),
    "RGB, cut and closed": cut(NOISE, keep_rgb=True),
    "rotated, cut and closed": cut(NOISE, exif=TURNED),
    "cut and closed": GOOD[: len(GOOD) * 2 // 5] + END,
    "plain, cut and closed": PLAIN[: len(PLAIN) * 2 // 5] + END,
    "progressive, cut and closed": PROGRESSIVE[: len(PROGRESSIVE) * 2 // 5] + END,
    "zeroed middle": zeroed(GOOD, 300),
    "plain, zeroed middle": zeroed(PLAIN, 300),
    "zeroed tail": PLAIN[:-900] + bytes(900),
    "zeroed tail and end marker": PLAIN[:-900] + bytes(898) + END,
    "one interval dropped": GOOD[: R[4]] + GOOD[R[5] :],
    "eight intervals dropped": GOOD[: R[2]] + GOOD[R[10] :],
    "the last intervals dropped": GOOD[: R[-2]] + END,
    "two intervals swapped": GOOD[: R[4]] + GOOD[R[5] : R[6]] + GOOD[R[4] : R[5]] + GOOD[R[6] :],
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_that_decoders_only_warn_about_is_refused(name):
    with pytest.raises(Unreadable, match=r"bad\.jpg.*truncated or damaged") as error:
        decode(DAMAGED[name], "bad.jpg")
    assert error.value.kind == "truncated"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN[:-2] + bytes(2) + END,  # padding
        PLAIN[:-2] + b"\xff" * 5 + END,
        PLAIN + b"appended by a camera",
        PLAIN[:2] + b"\xff\xe2\0\x0aMPF\0\xff\xff\xff\xff" + PLAIN[2:],  # broken metadata
        PLAIN[:2] + b"\xff\xed\0\x20Photoshop 3.0\x008BIM\xff\xff\xff\xff" + PLAIN[2:],
        PLAIN[:2] + b"\xff\xfe\0\x04\xff\xd8" + PLAIN[2:],  # a comment that holds a marker
    ],
)
def test_whole_pixels_are_used_regardless_of_what_surrounds_them(content):
    assert np.array_equal(decode(content, "x.jpg"), decode(PLAIN, "x.jpg"))


def test_large_or_broken_metadata_of_a_png_do_not_decide():
    image = Image.new("RGB", (12, 12), (9, 8, 7))
    text = PngImagePlugin.PngInfo()
    text.add_text("comment", "x" * (2 << 20), zip=True)
    broken = encoded(image, "PNG", dpi=(72, 72)).replace(b"pHYs", b"pHYt")  # its checksum is wrong
    for content in (
        encoded(image, "PNG", icc_profile=bytes(2 << 20)),
        encoded(image, "PNG", pnginfo=text),
        broken,
    ):
        assert (decode(content, "x.png") == (9, 8, 7)).all()


START = PLAIN.index(b"\xff\xc0")
LIMITS = {
    "12 bits": PLAIN[: START + 4] + b"\x0c" + PLAIN[START + 5 :],
    "no height": (
        PLAIN[: START + 5]
        + b"\0\0"
        + PLAIN[START + 7 : -2]
        + b"\xff\xdc\0\4"
        + PLAIN[START + 5 : START + 7]
        + END
    ),
    "lossless": PLAIN[: START + 1] + b"\xc3" + PLAIN[START + 2 :],
    "hierarchical": PLAIN[: START + 1] + b"\xc5" + PLAIN[START + 2 :],
    "2 colour components": PLAIN[: START + 9] + b"\x02" + PLAIN[START + 10 :],
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(200),
}


@pytest.mark.parametrize("reason", LIMITS)
def test_limits_are_unsupported_with_the_reason(reason):
    with pytest.raises(Unreadable, match=reason) as error:
        decode(LIMITS[reason], "x.jpg")
    assert error.value.kind == "unsupported"


def test_a_cut_header_is_damage_and_a_text_is_no_image():
    kinds = {}
    for name, content in {"cut": PLAIN[:200], "page": b"<html>404 Not Found</html>"}.items():
        with pytest.raises(Unreadable) as error:
            decode(content, name)
        kinds[name] = error.value.kind
    assert kinds == {"cut": "truncated", "page": "not an image"}


@pytest.mark.parametrize(
    ("number", "cure"),
    [
        (errno.EMFILE, "ulimit"),
        (errno.EACCES, "read access"),
        (errno.ESTALE, "network"),
        (errno.EBUSY, "run again"),
        (errno.ENOMEM, "memory"),
    ],
)
def test_a_fault_of_the_machine_is_not_kept_as_a_property_of_the_data(
    tmp_path, runs, monkeypatch, number, cure
):
    root = write(tmp_path / "set", {f"train/a/{i}.jpg": jpeg(16, i) for i in range(3)})
    index, original = index_folder(root, "train"), Path.read_bytes

    def faulty(path: Path) -> bytes:
        if path.name == "1.jpg":
            raise OSError(number, os.strerror(number))
        return original(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", faulty)
        with pytest.raises(Unreachable, match=cure):
            decode(index.path(1), "1.jpg")
        assert len(readable(index)) == 2
    assert len(readable(index)) == 3


def recipe(root: Path, **data: object) -> Recipe:
    return Recipe(
        data=Data(name=f"folder:{root}", size=32, mean="none", **data),
        net=CifarNetSpec(),
        update=Update(rate=0.1),
        batch=2,
        epochs=1,
    )


@pytest.mark.parametrize("files", ["raw", "encoded"])
def test_concealed_damage_is_named_before_training_in_every_pipeline(tmp_path, runs, files):
    root = write(
        tmp_path / "set", {f"train/{c}/{i}.jpg": jpeg(32, i) for c in "ab" for i in (1, 2, 3)}
    )
    write(root, {"train/b/2.jpg": DAMAGED["plain, cut and closed"]})
    assert verify(str(root)).dump()["splits"][0]["kinds"]["truncated"]["files"] == ["train/b/2.jpg"]
    with pytest.raises(InputError, match=r"train/b/2\.jpg"):
        open_loaders(recipe(root, files=files))
    left = open_loaders(recipe(root, files=files, unreadable="skip")).training
    assert len(left) == 5
    left.close()


def test_other_suffixes_are_taken_or_counted_and_looked_into(tmp_path, runs, caplog):
    root = write(
        tmp_path / "set",
        {f"train/a/1.{suffix}": jpeg(16) for suffix in ("JPG", "jfif", "jpe")}
        | {"train/a/2.gif": encoded(Image.new("P", (9, 9)), "GIF")}
        | {"train/a/3.bin": jpeg(16), "train/a/notes.txt": b"x"},
    )
    index = index_folder(root, "train")
    assert len(index) == 4 and prepare(index, 8).images.shape[0] == 4
    assert index.skipped == {"not an image (.bin)": 1, "not an image (.txt)": 1}
    report = verify(str(root)).dump()["splits"][0]
    assert report["images_passed_over"] == ["train/a/3.bin"]
    with caplog.at_level("INFO", "replication.data.splits"):
        open_loaders(recipe(root)).close()
    assert "1 not an image (.bin)" in caplog.text


@pytest.mark.parametrize("backend", ["reference", "dali"])
def test_a_run_that_leaves_broken_files_out_still_stops_at_a_fault_of_the_machine(
    tmp_path, runs, monkeypatch, backend
):
    if backend == "dali":
        pytest.importorskip("nvidia.dali")
    root = write(
        tmp_path / "set", {f"train/{c}/{i}.jpg": jpeg(32, i) for c in "ab" for i in (1, 2)}
    )
    loader = open_loaders(recipe(root, files="encoded", unreadable="skip"), backend=backend)
    original = Path.read_bytes

    def faulty(path: Path) -> bytes:
        if path.name == "1.jpg":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return original(path)

    monkeypatch.setattr(Path, "read_bytes", faulty)
    with pytest.raises(InputError, match=r"1\.jpg.*run again"):
        list(loader.training.epoch(0))
    loader.close()


def test_a_photograph_cut_anywhere_is_found_before_the_training(tmp_path: Path) -> None:
    """Inside the headers libjpeg does not warn of pixels: it finds none."""
    scan = PLAIN.index(b"\xff\xda")
    places = [*range(30, scan + 20, 7), len(PLAIN) // 2]
    files = {f"train/a/{place}.jpg": PLAIN[:place] for place in places}
    index = index_folder(write(tmp_path, files | {"train/b/whole.jpg": PLAIN}), "train")
    kept = readable(index)
    assert [kept.path(row).name for row in range(len(kept))] == ["whole.jpg"]
