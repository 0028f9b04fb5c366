"""A small tree of image files of every kind, for the tests of the pipelines."""

from pathlib import Path

import numpy as np
from PIL import Image

from replication.recipe import AlexNetSpec, Data, Recipe, Update

COUNT = 37  # a prime: no batch size divides it
CLASSES = ("a", "b", "c")


def photo(height: int, width: int, seed: int) -> np.ndarray:
    """Smooth colours with some texture, uint8 (height, width, 3)."""
    draws = np.random.default_rng(seed)
    coarse = Image.fromarray(draws.integers(0, 256, (6, 8, 3), np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(coarse) + draws.normal(0, 6, (height, width, 3)), 0, 255).astype(
        np.uint8
    )


def write_tree(root: Path) -> Path:
    """``root`` with train (37 images) and val (6 images)."""
    draws = np.random.default_rng(0)
    for split, count in (("train", COUNT), ("val", 6)):
        for key in CLASSES:
            (root / split / key).mkdir(parents=True)
        for k in range(count):
            height, width = draws.integers(33, 97, 2).tolist()
            save(k, photo(height, width, k), root / split / CLASSES[k % 3] / f"{k:02d}.jpg")
    return root


def recipe(
    tree: Path, fidelity: str = "paper", batch: int = 9, seed: int = 0, **data: object
) -> Recipe:
    """A recipe for the tree: augmented crops of 24 pixels in squares of 32."""
    given = {"name": f"folder:{tree}", "size": 32, "crop": 24, "augment": True, "colour": 0.1}
    return Recipe(
        data=Data(**given | data),
        net=AlexNetSpec(side=24, fidelity=fidelity, classes=len(CLASSES)),
        update=Update(rate=0.1),
        batch=batch,
        epochs=1,
        seed=seed,
    )


def save(k: int, pixels: np.ndarray, path: Path) -> None:
    image = Image.fromarray(pixels)
    if k == 3:
        image.convert("L").save(path, "JPEG", quality=92)
    elif k == 5:
        image.convert("CMYK").save(path, "JPEG", quality=92)
    elif k == 7:
        image.save(path, "PNG")  # regardless of its name
    elif k == 11:
        exif = Image.Exif()
        exif[0x0112] = 6  # to be turned by a quarter
        image.save(path, "JPEG", quality=92, exif=exif)
    elif k == 13:
        image.resize((40, 24)).save(path, "JPEG", quality=92)  # to be enlarged
    elif k == 17:
        image.convert("RGBA").save(path, "PNG")
    else:
        image.save(path, "JPEG", quality=70 + k % 26, subsampling=k % 3, progressive=k % 4 == 1)
