"""A tree with every kind of bad file: one report, the right counts, an index to train on."""

import io
import json
import os

import numpy as np
import pytest
from PIL import Image
from typer import Typer
from typer.testing import CliRunner

from replication.base.errors import InputError
from replication.cli import data as commands
from replication.data.files.decode import POLICY
from replication.data.files.index import index_folder, read_image
from replication.data.prepared import card as data_card
from replication.data.prepared import verify as module
from replication.data.prepared.store import prepare
from replication.data.prepared.verify import examine, readable, verify

RNG = np.random.default_rng(0)
BAD = {"missing": 1, "empty": 1, "not an image": 2, "truncated": 1, "unsupported": 1}
ODD = {
    "misnamed": 2,
    "animated": 1,
    "grey": 2,
    "CMYK": 1,
    "palette": 2,
    "alpha": 1,
    "16-bit": 1,
    "rotated": 1,
    "small": 1,
}


def picture(height: int = 40, width: int = 48) -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (height, width, 3), dtype=np.uint8))


def test_training_images_that_are_still_packed_are_not_passed_over(tmp_path):
    (tmp_path / "val" / "cat").mkdir(parents=True)
    picture().save(tmp_path / "val" / "cat" / "0.png")
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "n01440764.tar").write_bytes(b"")
    with pytest.raises(InputError, match="data unpack"):
        verify(str(tmp_path))


def test_links_that_lead_to_each_other_are_an_error_of_the_file_system(tmp_path):
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(OSError, match="ring"):
        verify(str(tmp_path / "ring"))


def test_a_pipe_among_the_images_is_passed_over_and_not_waited_for(tree):
    os.mkfifo(tree / "train" / "n02" / "pipe.jpg")
    skipped = index_folder(tree, "train").skipped
    assert skipped["not a file (a pipe, a socket or a device)"] == 1


def test_a_link_to_itself_among_the_images_is_a_broken_link(tree):
    (tree / "train" / "n02" / "ring.jpg").symlink_to("ring.jpg")
    with pytest.raises(InputError, match=r"broken link: .*ring\.jpg"):
        index_folder(tree, "train")


def test_a_tree_that_was_unpacked_too_deep_is_found(tmp_path):
    (tmp_path / "images" / "again" / "train").mkdir(parents=True)
    with pytest.raises(InputError, match="again has: name that one"):
        index_folder(tmp_path, "train")


def jpeg(image: Image.Image, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, "JPEG", **options)
    return content.getvalue()


@pytest.fixture
def tree(tmp_path, runs):
    root = tmp_path / "every kind"
    first, second = root / "train" / "n01 größe", root / "train" / "n02"
    for folder in (first, second, root / "val" / "n01 größe", root / "val" / "n02"):
        folder.mkdir(parents=True)
        for i in range(2):
            picture().save(folder / f"sound {i}.JPEG", quality=90)
    (first / "empty.JPEG").write_bytes(b"")
    (first / "page.jpg").write_bytes(b"<html>404 Not Found</html>")
    (first / "text.png").write_bytes(b"not a picture at all")
    (first / "cut.JPEG").write_bytes(jpeg(picture())[:-400])
    Image.fromarray(np.ones((40, 40), np.float32)).save(first / "float.tif")
    (first / "gone.JPEG").write_bytes(b"soon removed")
    picture().save(second / "a png.JPEG", "PNG")
    frames = [picture().quantize(16) for _ in range(2)]
    frames[0].save(second / "a gif.JPEG", "GIF", save_all=True, append_images=frames[1:])
    picture().convert("L").save(second / "grey.JPEG")
    picture().convert("CMYK").save(second / "cmyk.JPEG")
    picture().quantize(32).save(second / "palette.png")
    Image.fromarray(RNG.integers(0, 256, (40, 40, 4), dtype=np.uint8)).save(second / "alpha.png")
    Image.fromarray(RNG.integers(0, 2**16, (40, 40), dtype=np.uint16)).save(second / "deep.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture().save(second / "turned.JPEG", exif=turned)
    picture(20, 60).save(second / "small.JPEG")
    (second / "twice.JPEG").write_bytes((second / "sound 0.JPEG").read_bytes())
    leaked = root / "val" / "n01 größe" / "leaked.JPEG"
    leaked.write_bytes((second / "sound 1.JPEG").read_bytes())
    for name in (".DS_Store", "._sound 0.JPEG", "Thumbs.db", "notes.txt"):
        (second / name).write_bytes(b"x")
    for folder in (".ipynb_checkpoints", "__MACOSX"):
        (root / "train" / folder).mkdir()
    return root


@pytest.fixture
def index(tree):
    index = index_folder(tree, "train")
    (tree / "train" / "n01 größe" / "gone.JPEG").unlink()  # listed, and then it vanishes
    return index


def test_each_kind_is_found_and_counted(index):
    found = examine(index, crop=32)
    assert {kind: len(found.rows(kind)) for kind in BAD | ODD} == BAD | ODD
    assert found.unreadable.sum() == sum(BAD.values()) == len(found.messages)
    assert all(
        index.paths[row] in message and "\n" not in message
        for row, message in found.messages.items()
    )
    assert (
        index.skipped == {"hidden": 3, "not an image (.txt)": 1, "stray": 2}
        and len(index.classes) == 2
    )


def test_one_report_covers_all_splits(tree):
    (tree / "train" / "n01 größe" / "gone.JPEG").unlink()
    report = verify(str(tree), crop=32).dump()
    train, val = report["splits"]
    assert not report["healthy"] and (
        train["images"],
        train["readable"],
        val["images"],
        val["readable"],
    ) == (19, 14, 5, 5)
    assert train["classes"] == val["classes"] == 2
    assert report["repeated"]["duplicate"] == {
        "count": 1,
        "other_class": 0,
        "files": [("train/n02/twice.JPEG", "train/n02/sound 0.JPEG")],
    }
    leaks = [("val/n01 größe/leaked.JPEG", "train/n02/sound 1.JPEG")]
    assert report["repeated"]["leak"] == {"count": 1, "other_class": 1, "files": leaks}
    assert train["sizes"]["shorter"] == [20, 40.0, 40]
    json.dumps(report, allow_nan=False)


def test_the_same_pixels_in_another_file_format_are_a_duplicate(tmp_path):
    for key, kind in (("a", "png"), ("b", "bmp")):
        (tmp_path / "train" / key).mkdir(parents=True)
        Image.fromarray(np.full((9, 9, 3), 7, np.uint8)).save(
            tmp_path / "train" / key / f"x.{kind}"
        )
    Image.fromarray(np.full((3, 27, 3), 7, np.uint8)).save(
        tmp_path / "train" / "a" / "same bytes, other shape.png"
    )
    assert verify(str(tmp_path)).dump()["repeated"]["duplicate"]["files"] == [
        ("train/b/x.bmp", "train/a/x.png")
    ]


def test_what_is_left_trains_and_keeps_its_ids(index):
    found = examine(index)
    kept = readable(index)
    assert (
        len(kept) == len(index) - sum(BAD.values())
        and kept.ids.tolist() == index.ids[~found.unreadable].tolist()
    )
    assert kept.skipped == index.skipped | BAD
    assert "empty" not in index.skipped  # the full index is as it was
    assert kept.fingerprint != index.fingerprint
    store = prepare(kept, 16)
    assert store.images.shape == (len(kept), 16, 16, 3)
    assert all(read_image(kept, i).shape[2] == 3 for i in range(len(kept)))


def test_readable_looks_once(index, monkeypatch):
    first = readable(index)
    monkeypatch.setattr(module, "_fault", None)
    again = readable(index)
    assert (
        again.fingerprint == first.fingerprint == sound_fingerprint(index)
        and again.skipped == first.skipped
    )


def sound_fingerprint(index) -> str:
    return index.take([i for i in range(len(index)) if _sound(index, i)]).fingerprint


def _sound(index, i: int) -> bool:
    try:
        read_image(index, i)
    except InputError:
        return False
    return True


def test_a_sound_data_set_is_left_alone(tmp_path, runs):
    (tmp_path / "train" / "k").mkdir(parents=True)
    picture().save(tmp_path / "train" / "k" / "1.png")
    index = index_folder(tmp_path, "train")
    assert readable(index) is index


def test_a_data_set_of_nothing_but_broken_files_is_refused(tmp_path, runs):
    (tmp_path / "train" / "k").mkdir(parents=True)
    (tmp_path / "train" / "k" / "1.png").write_bytes(b"")
    with pytest.raises(InputError, match="no image of"):
        readable(index_folder(tmp_path, "train"))


def test_a_flat_folder_of_photographs_is_verified_as_one_split(tmp_path):
    picture().save(tmp_path / "b.png")
    (tmp_path / "more").mkdir()
    picture().save(tmp_path / "more" / "a.png")
    (tmp_path / ".hidden").mkdir()
    report = verify(str(tmp_path)).dump()
    assert [(split["split"], split["images"], split["skipped"]) for split in report["splits"]] == [
        ("all", 2, {"hidden": 1})
    ]
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no images"):
        verify(str(tmp_path / "none"))


@pytest.fixture
def command():
    app = Typer()
    app.command("verify")(commands.data_verify)
    app.command("prepare")(commands.data_prepare)
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)))


def test_the_command_reports_and_fails_on_what_is_broken(tree, command):
    (tree / "train" / "n01 größe" / "gone.JPEG").unlink()
    as_json = command("verify", tree, "--json", "--crop", 32)
    assert (
        as_json.exit_code == 1
        and json.loads(as_json.stdout)["splits"][0]["readable"] == 14
        and as_json.stderr == ""
    )
    text = command("verify", tree, "--crop", 32).stdout
    for word in (
        "14 of 19 images",
        "cut.JPEG",
        "quarantine",
        "leaked.JPEG = train/n02/sound 1.JPEG",
        "some files cannot be decoded",
    ):
        assert word in text
    assert command("verify", tree, "--split", "val").exit_code == 0


def test_the_data_card_shows_the_whole_policy(tree):
    text = data_card.card(verify(str(tree), crop=32).dump())
    rows = {
        cells[0]: cells[1:]
        for line in text.splitlines()
        if (cells := [cell.strip() for cell in line.strip("|").split("|")])
    }
    assert set(rows) >= {rule.kind for rule in POLICY}
    assert rows["leak"][:2] == ["1, 1 of them under two classes", "keep"] and rows["truncated"][
        :2
    ] == ["1", "quarantine"]


def test_prepare_stops_or_skips(tree, tmp_path, command):
    (tree / "train" / "n01 größe" / "gone.JPEG").unlink()
    stopped = command("prepare", f"folder:{tree}", "--size", 16)
    assert isinstance(stopped.exception, InputError) and "cut.JPEG" in str(stopped.exception)
    done = command(
        "prepare", f"folder:{tree}", "--size", 16, "--skip", "--jpeg", tmp_path / "small"
    )
    assert done.exit_code == 0 and "5 left out" in done.stdout
    assert len(index_folder(tmp_path / "small", "train")) == 14


def test_names_of_any_bytes_are_one_line_each_and_json_that_parses(tmp_path, command):
    odd = [os.fsdecode(b"br\noken.jpg"), os.fsdecode(b"caf\xe9.jpg"), "tab\t.jpg"]
    root = tmp_path / os.fsdecode(b"s\xe9t")
    for name in odd:
        (root / "train" / "k").mkdir(parents=True, exist_ok=True)
        (root / "train" / "k" / name).write_bytes(b"nothing")
    text = command("verify", root).stdout
    assert all(line.isprintable() for line in text.splitlines())
    assert "br\\noken.jpg" in text and "caf\\xe9.jpg" in text
    found = json.loads(command("verify", root, "--json").stdout)["splits"][0]
    assert found["kinds"]["not an image"]["files"] == [f"train/k/{name}" for name in odd]
