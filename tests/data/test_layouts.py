"""The forms in which people have ImageNet and other sets: understood, or refused with a cure."""

import unicodedata

import pytest
from trees import jpeg, write

from replication.base.errors import InputError
from replication.data.files import layouts
from replication.data.files.index import index_folder
from replication.data.loader import evaluation_loader
from replication.data.prepared.verify import verify
from replication.data.sources import catalog
from replication.data.splits import check_measurable, has_both, held_out, report_skipped
from replication.recipes import chosen

W = ("n01443537", "n01629819")
X = b"x"  # a scan opens no image
TINY_TRAIN = {f"train/{key}/images/{key}_0.JPEG": X for key in W}
TINY_TABLE = "".join(f"val_{i}.JPEG\t{key}\t0\t0\t9\t9\n" for i, key in enumerate(W)).encode()
TINY = TINY_TRAIN | {"val/val_annotations.txt": TINY_TABLE}


@pytest.mark.parametrize("place", ["val/images", "val", "val/{}", "val/{}/images"])
@pytest.mark.parametrize("empty", [False, True])
def test_tiny_imagenet_is_read_whether_its_val_was_sorted_or_not(tmp_path, place, empty):
    write(tmp_path, TINY | {f"{place.format(k)}/val_{i}.JPEG": X for i, k in enumerate(W)})
    if empty:
        (tmp_path / "val" / "images").mkdir(exist_ok=True)
    index = index_folder(tmp_path, "val")
    assert index.classes == W and index.labels.tolist() == [0, 1]
    write(tmp_path, {"test/images/test_0.JPEG": X})  # it has no labels
    assert layouts.splits(tmp_path) == ("train", "val")


def test_classes_are_taken_from_flat_names(tmp_path):
    train = {f"train/{k}_{i}_{k}.JPEG": X for k in W for i in (18, 37)}
    val = {f"val/ILSVRC2012_val_{i:08}_{k}.JPEG": X for i, k in enumerate(W, 1)}
    write(tmp_path, train | val | {"test/ILSVRC2012_test_00000001.JPEG": X})
    for split, labels in (("train", [0, 0, 1, 1]), ("val", [0, 1])):
        index = index_folder(tmp_path, split)
        assert index.classes == W and index.labels.tolist() == labels
    assert layouts.splits(tmp_path) == ("train", "val")
    write(tmp_path, {"val/holiday.jpg": X})
    with pytest.raises(InputError, match="neither the names nor a table"):
        index_folder(tmp_path, "val")


KAGGLE = "ILSVRC/Data/CLS-LOC"
SOLUTION = "ImageId,PredictionString\n" + "".join(
    f"ILSVRC2012_val_{i:08},{key} 1 2 3 4 {key} 5 6 7 8 \n" for i, key in enumerate(W, 1)
)


def test_folders_that_mix_classes_by_name_are_not_taken_for_classes(tmp_path):
    write(tmp_path, {f"train/part{n}/{k}_{n}_{k}.JPEG": X for k in W for n in (1, 2)})
    with pytest.raises(InputError, match="part1 holds images of several classes .* no class"):
        index_folder(tmp_path, "train")


def test_kaggles_tree_is_read_with_its_own_table(tmp_path):
    write(tmp_path, {f"{KAGGLE}/train/{key}/{key}_1.JPEG": X for key in W})
    write(tmp_path, {f"{KAGGLE}/val/ILSVRC2012_val_{i:08}.JPEG": X for i in (1, 2)})
    write(tmp_path, {f"{KAGGLE}/test/ILSVRC2012_test_00000001.JPEG": X})
    with pytest.raises(InputError, match="development kit beside it .*LOC_val_solution"):
        index_folder(tmp_path, "val")
    write(tmp_path, {"LOC_val_solution.csv": SOLUTION.encode()})
    found = [index_folder(place, "val") for place in (tmp_path, tmp_path / KAGGLE)]
    assert [index.labels.tolist() for index in found] == [[0, 1]] * 2
    assert found[0].fingerprint == found[1].fingerprint
    assert layouts.splits(tmp_path) == ("train", "val")
    (tmp_path / KAGGLE / "val" / "ILSVRC2012_val_00000002.JPEG").unlink()
    with pytest.raises(InputError, match="lists 2 images, and 1"):
        index_folder(tmp_path, "val")


@pytest.mark.parametrize(
    "files",
    [
        {"train/train-00000-of-00001.parquet": X},
        {"data/train-00000-of-00001.parquet": X},
        {"train/data-00000.arrow": X},
        {"train/n01443537.tar": X},
        {"train-000000.tar": X},
        {"train/cats/part.tar.gz": X},
    ],
)
def test_shards_are_named_with_the_command_that_unpacks_them(tmp_path, files):
    write(tmp_path, files)
    with pytest.raises(InputError, match=f"replication data unpack {tmp_path} FOLDER"):
        index_folder(tmp_path, "train")


def test_split_folders_are_found_in_any_spelling_and_never_two(tmp_path):
    write(tmp_path, {f"{split}/{key}/1.JPG": X for split in ("Train", "Validation") for key in W})
    assert layouts.splits(tmp_path) == ("train", "val")
    assert index_folder(tmp_path, "val").paths[0] == f"Validation/{W[0]}/1.JPG"
    write(tmp_path, {"val/a/1.jpg": X})
    with pytest.raises(InputError, match="several folders for val: Validation and val"):
        index_folder(tmp_path, "val")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (unicodedata.normalize("NFC", "café"), unicodedata.normalize("NFD", "café")),
        ("cat", "Cat"),
        ("cat", "cat "),
    ],
)
def test_class_names_that_people_cannot_tell_apart_are_refused(tmp_path, one, other):
    write(tmp_path, {f"train/{key}/1.jpg": X for key in (one, other)})
    with pytest.raises(InputError, match="differ only in case, blanks or Unicode form"):
        index_folder(tmp_path, "train")
    split = write(tmp_path / "apart", {f"train/{one}/1.jpg": X, f"val/{other}/1.jpg": X})
    with pytest.raises(InputError, match="differ only in case, blanks or Unicode form"):
        index_folder(split, "val")


COUNTS = {"train": 6, "val": 4, "test": 2}


@pytest.mark.parametrize("splits", [("train", "test"), ("train", "val"), ("train", "val", "test")])
def test_the_splits_of_a_tree_are_those_on_the_disk(tmp_path, runs, splits):
    images = {s: range(COUNTS[s]) for s in splits}
    root = write(
        tmp_path / "set",
        {f"{s}/{key}/{i}.jpg": jpeg(16, i) for s in splits for key in "ab" for i in images[s]},
    )
    recipe = chosen("19pct", "quick", [f"data.name={root}", "data.size=32"])
    assert recipe.data.name == f"folder:{root}"  # a bare path is made absolute
    measured = "test" if "test" in splits else "val"
    assert held_out(recipe.data.name) == measured
    loader = evaluation_loader(recipe, "test")
    assert loader.index.split == measured and len(loader) == 2 * COUNTS[measured]
    assert has_both(recipe.data.name) == (len(splits) == 3)
    if len(splits) == 3:
        assert len(evaluation_loader(recipe, "val")) == 2 * COUNTS["val"]
    else:
        with pytest.raises(InputError, match="no validation set beside a test set"):
            evaluation_loader(recipe, "val")


def test_what_cannot_be_measured_is_refused_before_training(tmp_path, runs, caplog):
    root = write(tmp_path / "set", {f"train/{key}/1.jpg": jpeg(16) for key in "ab"})
    recipe = chosen("19pct", "quick", [f"data.name={root}"])
    check_measurable(recipe.data, ("train",))
    with pytest.raises(InputError, match="no folder val"):
        check_measurable(recipe.data, ("train", "test"))
    report_skipped(recipe.data)
    assert "neither val nor test" in caplog.text


def test_a_relative_path_means_the_same_folder_afterwards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("./set", "folder:set"):
        assert chosen("19pct", "quick", [f"data.name={name}"]).data.name == f"folder:{tmp_path}/set"


def test_verify_enters_linked_class_folders_once(tmp_path):
    write(tmp_path, {"elsewhere/1.jpg": jpeg(16), "elsewhere/2.jpg": b"", "set/0.jpg": jpeg(16)})
    (tmp_path / "set" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "set")  # a circle
    report = verify(str(tmp_path / "set")).dump()
    assert not report["healthy"] and report["splits"][0]["images"] == 3


def test_a_broken_link_in_one_data_set_does_not_hide_the_others(tmp_path, monkeypatch):
    monkeypatch.setenv("REPLICATION_DATA", str(tmp_path))
    monkeypatch.setenv("REPLICATION_RUNS", str(tmp_path / "runs"))
    write(tmp_path / "imagenette2", {f"train/{key}/0.JPEG": X for key in W})
    (tmp_path / "imagenette2" / "val").mkdir()
    (tmp_path / "imagenette2" / "val" / f"{W[0]}_1.JPEG").symlink_to(tmp_path / "gone")
    rows = {row["name"]: row for row in catalog.listing()}
    assert rows["imagenette"]["present"] == ["train", "val"]
    with pytest.raises(InputError, match="broken link"):  # once it is used
        catalog.open_index("imagenette", "val")
