"""ILSVRC's parts: which are there in any layout, and which archives are still needed."""

from pathlib import Path

from replication.data.files import devkit, flat, layouts, tree
from replication.data.sources import ilsvrc

SPLITS = ("train", "val", "test")


def lacking(root: Path, parts: dict[str, int | None]) -> tuple[str, ...]:
    """Return which of ``parts``, name -> number of images, are not in the tree ``root``.

    The images of a split that is there are counted. Raises InputError if some are missing."""
    if not root.is_dir():
        return tuple(parts)
    inner = tree.base(root)
    present = {split for split in SPLITS if split in parts and _has_images(inner, split)}
    for split in present:
        folder = tree.split_folder(inner, split)
        ilsvrc.check_count(folder.parent, folder.name, parts[split])
    if "kit" in parts and (devkit.find(inner) or _labels_itself(inner)):
        present.add("kit")
    if "test truth" in parts and "test" in layouts.splits(root):
        present.add("test truth")
    if "train" in present and not (root / ".train.done").exists():
        present.add("patch")  # it belongs to the archive, not to a tree that came from elsewhere
    present |= {part for part in parts if (root / f".{part.replace(' ', '-')}.done").exists()}
    return tuple(part for part in parts if part not in present)


def _has_images(root: Path, split: str) -> bool:
    found = tree.list_split(root, split)
    return found is not None and bool(found.images or found.folders)


def _labels_itself(root: Path) -> bool:
    """Return whether the validation images have classes without the development kit."""
    found = tree.list_split(root, "val")
    return found is not None and bool(
        found.folders or flat.solution(found.path) or flat.wnids_in_names(found.names) is not None
    )
