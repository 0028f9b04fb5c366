"""Files of many images each become class folders: whole, counted, and nothing before."""

import io
import random
import tarfile
import zipfile

import pytest
from trees import jpeg, write

from replication.base.errors import InputError
from replication.data.files.index import index_folder
from replication.data.sources.shards import unpack

W = ("n01443537", "n01629819")


def tar(entries: dict[str, bytes], mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(entries: dict[str, bytes], kind: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return buffer.getvalue()


FORMS = {
    "one tar per class": {f"train/{key}.tar": tar({f"{key}_0.JPEG": key.encode()}) for key in W},
    "class folders": {"train.tar": tar({f"train/{key}/0.jpg": key.encode() for key in W})},
    "zip": {"data/train-0.zip": zipped({f"{key}/0.jpg": key.encode() for key in W})},
    "names with wnids": {
        "train_images_0.tar.gz": tar({f"{key}_1_{key}.JPEG": key.encode() for key in W})
    },
    "pairs": {
        "train-000.tar": tar(
            {
                f"{i}.{e}": c
                for i, k in enumerate(W)
                for e, c in (("jpg", b"x"), ("cls", k.encode()))
            }
        )
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_becomes_class_folders(tmp_path, form):
    source = write(tmp_path / "source", FORMS[form])
    assert unpack(source, tmp_path / "new") == {"train": 2}
    assert index_folder(tmp_path / "new", "train").classes == W
    with pytest.raises(InputError, match="exists"):
        unpack(source, tmp_path / "new")


def test_a_cut_or_unlabelled_file_leaves_nothing(tmp_path):
    whole = tar({f"{key}/0.jpg": bytes(3000) for key in W})
    source = write(tmp_path / "source", {"train/a.tar": whole[:4000]})
    with pytest.raises(InputError, match=r"a\.tar"):
        unpack(source, tmp_path / "new")
    write(source, {"train/a.tar": tar({"holiday.jpg": b"x"})})
    with pytest.raises(InputError, match="no class for 1 image "):
        unpack(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_parquet_and_arrow_files_of_hugging_face(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import json

    import pyarrow.parquet as parquet

    names = {"info": {"features": {"label": {"names": list(W), "_type": "ClassLabel"}}}}
    table = arrow.table(
        {
            "image": [{"bytes": jpeg(9, i), "path": f"{i}.JPEG"} for i in range(3)],
            "label": [0, 1, -1],
        }
    ).replace_schema_metadata({b"huggingface": json.dumps(names).encode()})
    (tmp_path / "source" / "data").mkdir(parents=True)
    parquet.write_table(table, tmp_path / "source" / "data" / "validation-00000-of-00001.parquet")
    with arrow.ipc.new_stream(tmp_path / "source" / "data" / "train.arrow", table.schema) as out:
        out.write_table(table)
    assert unpack(tmp_path / "source", tmp_path / "new") == {"train": 2, "val": 2}
    assert index_folder(tmp_path / "new", "val").classes == W


def test_without_pyarrow_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    source = write(tmp_path / "source", {"train-0.parquet": b"PAR1"})
    with pytest.raises(InputError, match="pip install pyarrow"):
        unpack(source, tmp_path / "new")


@pytest.mark.parametrize("kind", ["w:gz", "w:bz2", "w:xz", "zip"])
def test_a_damaged_byte_of_a_compressed_file_is_one_line_and_never_an_image(tmp_path, kind):
    draws = random.Random(0)
    entries = {f"{key}/0.jpg": draws.randbytes(4000) for key in W}
    packed = zipfile.ZIP_DEFLATED
    whole = zipped(entries, packed) if kind == "zip" else tar(entries, kind)
    for place in range(150, 8000, 400):
        damaged = bytearray(whole)
        damaged[place : place + 3] = bytes(255 - byte for byte in damaged[place : place + 3])
        name = "train.zip" if kind == "zip" else "train.tar"
        source = write(tmp_path / f"source-{place}", {name: bytes(damaged)})
        with pytest.raises(InputError, match="cannot unpack"):
            unpack(source, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / ".new.partial").exists()


def test_an_encrypted_zip_file_is_named(tmp_path):
    content = bytearray(zipped({"a/0.jpg": b"x"}))
    content[6] |= 1  # the flag of the entry, and of the list of entries
    content[content.find(b"PK\x01\x02") + 8] |= 1
    source = write(tmp_path / "source", {"train.zip": bytes(content)})
    with pytest.raises(InputError, match=r"train\.zip: it is encrypted"):
        unpack(source, tmp_path / "new")


def test_what_macos_adds_to_a_zip_file_is_no_image(tmp_path):
    entries = {f"pets/{key}/0.jpg": b"x" for key in ("cat", "dog")}
    extra = {f"__MACOSX/pets/{key}/._0.jpg": b"x" for key in ("cat", "dog")}
    source = write(tmp_path / "source", {"train.zip": zipped(entries | extra | {".a/b.jpg": b"x"})})
    assert unpack(source, tmp_path / "new") == {"train": 2}
    assert len(index_folder(tmp_path / "new", "train")) == 2


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"x/a/0.jpg": b"1", "y/a/0.jpg": b"2"}, "a second image of the class a is named 0.jpg"),
        ({"0.jpg": b"1", "0.cls": b".."}, "the class of 0.jpg is '..'"),
        ({"0.jpg": b"1", "0.cls": b""}, "the class of 0.jpg is ''"),
    ],
)
def test_an_image_without_a_place_of_its_own_is_named(tmp_path, entries, message):
    source = write(tmp_path / "source", {"train.tar": tar(entries)})
    with pytest.raises(InputError, match=message):
        unpack(source, tmp_path / "new")


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (["a/1.jpg", "b/2.jpg"], [0, 1], "row 1 has no image in its column 'image', only str"),
        ([b"x", None], [0, 1], "row 2 has no image"),
        ([b"x", b"y"], [0, 2], "row 2 has 2 in its column 'label', which is no class"),
        ([b"x", b"y"], [[0], [1]], "which is no class"),
    ],
)
def test_a_table_whose_rows_are_no_images_with_a_class_is_named(tmp_path, images, labels, message):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    table = arrow.table({"image": images, "label": labels})
    names = b'{"info": {"features": {"label": {"names": ["a", "b"]}}}}'
    (tmp_path / "source").mkdir()
    parquet.write_table(
        table.replace_schema_metadata({b"huggingface": names}),
        tmp_path / "source" / "train.parquet",
    )
    with pytest.raises(InputError, match=message):
        unpack(tmp_path / "source", tmp_path / "new")


def test_a_damaged_page_of_a_table_is_named(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    import pyarrow.parquet as parquet

    (tmp_path / "source").mkdir()
    path = tmp_path / "source" / "train.parquet"
    parquet.write_table(arrow.table({"image": [bytes(3000)] * 2, "label": [0, 1]}), path)
    content = bytearray(path.read_bytes())
    content[6:60] = bytes(255 - byte for byte in content[6:60])
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"cannot unpack .*train\.parquet"):
        unpack(tmp_path / "source", tmp_path / "new")
