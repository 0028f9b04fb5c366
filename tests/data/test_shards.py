"""Files of many images each become class folders: whole, counted, and nothing before."""

import io
import tarfile
import zipfile

import pytest
from trees import jpeg, write

from replication.base.errors import InputError
from replication.data.files.index import index_folder
from replication.data.sources.shards import unpack

W = ("n01443537", "n01629819")


def tar(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
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
