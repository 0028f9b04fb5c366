"""The catalog: accepted names, downloads that resume and are checked, archives in their folder."""

import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from trees import write

from replication.base.errors import InputError
from replication.data.files import cifar10 as packed
from replication.data.sources import catalog, download, subset
from replication.data.sources.catalog import Archive, Dataset, Form


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "RETRIES", 0)
    (tmp_path / "data").mkdir()
    return tmp_path


def visible(folder) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


def line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def binary_files(seed: int = 0) -> dict[str, bytes]:
    rng = np.random.default_rng(seed)
    names = packed.files("cifar-binary", "train") + packed.files("cifar-binary", "test")
    return {name: b"".join(bytes([k]) + rng.bytes(3072) for k in range(10)) for name in names}


def tar(entries: dict[str, bytes], links: dict[str, str] | None = None) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        for name, content in entries.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            opened.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            opened.addfile(member)
    return buffer.getvalue()


def entry(content: bytes, url: str = "http://127.0.0.1:9/", md5: str | None = None) -> Dataset:
    archive = Archive(
        file="few.tar.gz",
        url=f"{url}few.tar.gz",
        hash=f"md5:{md5 or hashlib.md5(content).hexdigest()}",
        folder="few",
    )
    form = Form(form="cifar-binary", folder="few")
    return Dataset(
        name="few",
        title="A few images",
        splits=("train", "test"),
        forms=(form,),
        archives=(archive,),
    )


def use(monkeypatch, dataset: Dataset) -> None:
    monkeypatch.setattr(catalog, "_catalog", lambda: {dataset.name: dataset})


@pytest.fixture
def few() -> bytes:
    return tar({f"few/{name}": content for name, content in binary_files().items()})


@pytest.fixture
def server():
    """Serves ``server.content`` with ranges; the first answer is cut after ``server.cut`` bytes
    when that is set.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            content = self.server.content
            start = int(self.headers.get("Range", "bytes=0-")[6:].rstrip("-"))
            self.server.starts.append(start)
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            self.wfile.write(content[start : self.server.cut])
            self.server.cut = None

        def log_message(self, *_):
            pass

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving.content, serving.cut, serving.starts = b"", None, []
    serving.url = f"http://127.0.0.1:{serving.server_port}/"
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    yield serving
    serving.shutdown()
    serving.server_close()


def test_every_form_of_cifar10_has_the_same_labels(folders):
    root = folders / "data"
    for key in packed.CLASSES:
        (root / "cifar10-jpeg" / "train" / key).mkdir(parents=True)
        Image.new("RGB", (32, 32)).save(root / "cifar10-jpeg" / "train" / key / "0001.jpg")
    jpeg = catalog.open_index("cifar10", "train")
    assert jpeg.form == "cifar-jpeg" and "lossy" in jpeg.note
    (root / "cifar-10-batches-bin").mkdir()
    for name, content in binary_files().items():
        (root / "cifar-10-batches-bin" / name).write_bytes(content)
    binary = catalog.open_index("cifar10", "train")
    # the exact form goes before the lossy one
    assert binary.form == "cifar-binary" and binary.note == ""
    assert binary.classes == jpeg.classes
    assert {row["name"]: row["form"] for row in catalog.listing()}["cifar10"] == "cifar-binary"


def test_a_missing_data_set_names_folder_and_files(folders):
    with pytest.raises(InputError) as error:
        catalog.open_index("cifar10", "train")
    for word in (
        str(folders / "data"),
        "cifar-10-batches-py",
        "cifar10-jpeg",
        "cifar-10-python.tar.gz",
        "data get cifar10",
    ):
        assert word in line(error)


@pytest.mark.parametrize(
    ("name", "split", "word"),
    [
        ("cifar11", "train", "cifar10"),
        ("cifar10", "val", "train or test"),
        ("", "train", "cifar10"),
        ("a" * 300, "train", "cifar10"),  # no file can have such a name
    ],
)
def test_unknown_names_and_splits_list_the_known_ones(name, split, word):
    with pytest.raises(InputError, match=word):
        catalog.open_index(name, split)


def test_a_folder_of_ones_own(folders):
    (folders / "my pictures" / "train" / "cat").mkdir(parents=True)
    Image.new("RGB", (9, 9)).save(folders / "my pictures" / "train" / "cat" / "1.png")
    index = catalog.open_index(f"folder:{folders / 'my pictures'}", "train")
    assert index.name == "folder-my pictures" and len(index) == 1


def test_the_name_of_a_folder_here_gets_the_form_that_names_it(folders, monkeypatch):
    (folders / "pictures").mkdir(parents=True)
    monkeypatch.chdir(folders)
    with pytest.raises(InputError, match="'pictures'.* folder:pictures$"):
        catalog.open_index("pictures", "train")


def test_data_list_shows_the_whole_catalog():
    rows = {row["name"]: row for row in catalog.listing()}
    assert {"synthetic", "cifar10", "tiny-imagenet-100", "imagenette"} <= set(rows)
    assert rows["imagenette"]["form"] is None and rows["imagenette"]["where"] is None
    assert rows["synthetic"]["note"] == "synthetic" and rows["synthetic"]["form"] is None
    assert all(row["how"] and row["title"] for row in rows.values())


def test_get_without_network_is_one_line_that_names_what_would_do(monkeypatch, folders, few):
    use(monkeypatch, entry(few))
    with pytest.raises(InputError) as error:
        catalog.get("few")
    assert all(
        word in line(error)
        for word in ("cannot download", str(folders / "data"), "few, few.tar.gz")
    )


def test_get_without_network_names_the_copy_that_is_used_meanwhile(monkeypatch, folders, few):
    half = (Form(form="cifar-binary", folder="half"),)
    use(monkeypatch, entry(few).model_copy(update={"forms": half}))
    (folders / "data" / "half").mkdir()
    with pytest.raises(InputError, match=f"{folders}/data/half is used until few is in"):
        catalog.get("few")


def test_get_downloads_checks_and_unpacks(monkeypatch, folders, few, server, capsys):
    server.content = few
    use(monkeypatch, entry(few, server.url))
    assert catalog.get("few") == folders / "data" / "few"
    assert len(catalog.open_index("few", "train")) == 50
    catalog.get("few")
    assert len(server.starts) == 1  # nothing is fetched twice
    assert capsys.readouterr() == ("", "")  # a progress bar only on a terminal


def test_the_second_of_two_concurrent_downloads_waits_and_fetches_nothing(
    monkeypatch, folders, few, server
):
    server.content = few
    use(monkeypatch, entry(few, server.url))
    places = []
    threads = [threading.Thread(target=lambda: places.append(catalog.get("few"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert places == [folders / "data" / "few"] * 2 and len(server.starts) == 1


def test_get_takes_an_archive_from_any_folder(monkeypatch, folders, few):
    use(monkeypatch, entry(few))
    (folders / "elsewhere").mkdir()
    before = sorted(folders.rglob("*"))
    with pytest.raises(InputError, match="elsewhere"):
        catalog.get("few", source=folders / "elsewhere")
    assert sorted(folders.rglob("*")) == before  # no folder, and no lock in it
    (folders / "elsewhere" / "few.tar.gz").write_bytes(few)
    assert catalog.get("few", source=folders / "elsewhere") == folders / "data" / "few"
    assert [path.name for path in (folders / "elsewhere").iterdir()] == ["few.tar.gz"]


def test_a_broken_download_is_resumed(monkeypatch, folders, few, server):
    server.content, server.cut = few, 100_000
    use(monkeypatch, entry(few, server.url))
    with pytest.raises(InputError, match="cannot download"):
        catalog.get("few")
    assert visible(folders / "data") == ["few.tar.gz.part"]
    catalog.get("few")
    assert len(server.starts) == 2 and 0 < server.starts[1] <= 100_000
    assert (folders / "data" / "few.tar.gz").read_bytes() == few


def test_a_wrong_hash_is_refused_and_not_kept(monkeypatch, folders, few, server):
    server.content = few
    use(monkeypatch, entry(few, server.url, md5="0" * 32))
    with pytest.raises(InputError) as error:
        catalog.get("few")
    assert "published md5:000" in line(error)
    assert visible(folders / "data") == []


def test_an_archive_in_the_data_folder_is_used_and_the_folder_is_only_read(
    monkeypatch, folders, few
):
    use(monkeypatch, entry(few))
    (folders / "data" / "few.tar.gz").write_bytes(few)
    assert catalog.listing()[0]["form"] == "archive"
    index = catalog.open_index("few", "test")
    assert index.root == folders / "runs" / "data" / "few" and len(index) == 10
    assert [path.name for path in (folders / "data").iterdir()] == ["few.tar.gz"]


def test_a_damaged_archive_in_the_data_folder_is_refused(monkeypatch, folders, few):
    use(monkeypatch, entry(few))
    (folders / "data" / "few.tar.gz").write_bytes(few[:-9])
    with pytest.raises(InputError, match="damaged or incomplete"):
        catalog.open_index("few", "test")


@pytest.mark.parametrize(
    ("names", "links"),
    [
        (["few/a", "../outside"], {}),
        (["few/a", "few/../../outside"], {}),
        (["few/a", "/outside"], {}),
        (["few/a"], {"few/link": "/etc"}),
        (["few/a", "few/a"], {}),
        (["other/a"], {}),
    ],
)
def test_an_archive_that_leaves_its_folder_is_refused(folders, names, links):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        for name in names:
            opened.addfile(tarfile.TarInfo(name))
        for name, target in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            opened.addfile(member)
    archive = folders / "bad.tar"
    archive.write_bytes(buffer.getvalue())
    with pytest.raises(InputError) as error:
        download.unpack(archive, "few", folders / "into")
    assert str(archive) in line(error)
    assert list((folders / "into").iterdir()) == [] and not (folders / "outside").exists()


def test_zip_files_are_unpacked_and_checked_too(folders):
    for name, good in (("good.zip", True), ("bad.zip", False)):
        with zipfile.ZipFile(folders / name, "w") as opened:
            opened.writestr("few/a b/ü.txt", "x")
            if not good:
                opened.writestr("../outside", "x")
    assert (
        download.unpack(folders / "good.zip", "few", folders / "into") / "a b" / "ü.txt"
    ).read_text() == "x"
    with pytest.raises(InputError, match="outside"):
        download.unpack(folders / "bad.zip", "few", folders / "other")


def test_an_archive_that_is_cut_between_two_entries_is_refused(folders):
    archive = folders / "cut.tar"
    with tarfile.open(archive, "w") as opened:
        for name in ("few/a", "few/b"):
            opened.addfile(tarfile.TarInfo(name))
    archive.write_bytes(archive.read_bytes()[: tarfile.BLOCKSIZE])
    with pytest.raises(InputError, match="ends early"):
        download.unpack(archive, "few", folders / "into")


def test_the_authors_files_are_distinguished_from_copies(folders, monkeypatch):
    root = folders / "data" / "cifar-10-batches-bin"
    root.mkdir()
    for name, content in binary_files().items():
        (root / name).write_bytes(content)
    rows = {row["name"]: row for row in catalog.listing()}
    assert rows["cifar10"]["origin"] == "not the author's files"
    hashes = {name: hashlib.md5(content).hexdigest() for name, content in binary_files().items()}
    monkeypatch.setattr(packed, "ORIGINAL", hashes)
    rows = {row["name"]: row for row in catalog.listing()}
    assert rows["cifar10"]["origin"] == "original"
    assert rows["cifar10"]["present"] == ["train", "test"]


def test_a_subset_is_built_from_the_official_archive_and_checked(folders, monkeypatch):
    keys = [f"n0000000{k}" for k in range(4)]
    files = {f"train/{k}/images/{k}_{n}.JPEG": f"{k} {n}".encode() for k in keys for n in range(2)}
    files |= {f"val/images/val_{n}.JPEG": f"val {n}".encode() for n in range(4)}
    files["val/val_annotations.txt"] = "".join(
        f"val_{n}.JPEG\t{k}\t0\t0\t1\t1\n" for n, k in enumerate(keys)
    ).encode()
    files["words.txt"] = "".join(f"{k}\tclass {k}, other\n" for k in keys).encode()
    write(folders / "data" / "tiny-imagenet-200", files)
    digests = {}
    for n in (0, 2):
        digest, key = hashlib.sha256(), keys[n]
        for place, name, content in (
            ("train", f"{key}_0.JPEG", f"{key} 0"),
            ("train", f"{key}_1.JPEG", f"{key} 1"),
            ("val", f"val_{n}.JPEG", f"val {n}"),
        ):
            digest.update(f"{place}/{name}\0".encode())
            digest.update(hashlib.sha256(content.encode()).digest())
        digests[key] = digest.hexdigest()[:16]
    monkeypatch.setattr(subset, "listed", lambda name: digests | {keys[2]: "0" * 16})
    with pytest.raises(InputError, match="are not the official ones"):
        catalog.get("tiny-imagenet-100")
    assert visible(folders / "data") == ["tiny-imagenet-200"]
    monkeypatch.setattr(subset, "listed", lambda name: digests)
    assert catalog.get("tiny-imagenet-100") == folders / "data" / "tiny-imagenet-100"
    index = catalog.open_index("tiny-imagenet-100", "val")
    assert index.paths == (f"val/{keys[0]}/val_0.JPEG", f"val/{keys[2]}/val_2.JPEG")
    words = (index.root / "words.txt").read_text().splitlines()
    assert words == [f"{key}\tclass {key}, other" for key in (keys[0], keys[2])]


def test_the_list_of_the_subset_is_every_second_class():
    listed = subset.listed("tiny-imagenet-100")
    assert len(listed) == 100 and list(listed) == sorted(listed)
    assert all(len(digest) == 16 for digest in listed.values())


@pytest.mark.parametrize(
    ("left", "missing"),
    [((), "train and test"), (("data_batch_1.bin", "test_batch.bin"), "train")],
)
def test_a_folder_that_lacks_files_is_neither_listed_nor_taken_as_whole(
    monkeypatch, folders, few, left, missing
):
    use(monkeypatch, entry(few))
    root = folders / "data" / "few"
    write(root, {name: content for name, content in binary_files().items() if name in left})
    root.mkdir(exist_ok=True)
    (row,) = catalog.listing()
    assert row["present"] == [split for split in ("train", "test") if split not in missing]
    with pytest.raises(InputError, match=f"lacks the images of {missing}: .*data get few") as error:
        catalog.get("few")
    assert str(root) in line(error)
    with pytest.raises(InputError, match="data_batch_[12].bin is missing.*data get"):
        catalog.open_index("few", "train")


def test_a_subset_that_lacks_a_split_is_not_taken_as_whole(folders):
    write(folders / "data" / "tiny-imagenet-100", {"train/n00000000/images/1.JPEG": b"1"})
    with pytest.raises(InputError, match="lacks the images of val"):
        catalog.get("tiny-imagenet-100")
