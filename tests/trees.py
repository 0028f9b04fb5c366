"""Small trees of image files, for the tests of layouts, damage and changed files."""

import io
from pathlib import Path

import numpy as np
from PIL import Image


def jpeg(side: int = 48, seed: int = 0, **options: object) -> bytes:
    """Return a JPEG of noise, whose codes fill the file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return encoded(Image.fromarray(pixels), "JPEG", **options)


def grey_bmp(value: int, side: int = 16) -> bytes:
    """Return a BMP of one grey; all of one side have the same number of bytes."""
    return encoded(Image.new("RGB", (side, side), (value,) * 3), "BMP")


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    """Return an image's file as bytes."""
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def write(root: Path, files: dict[str, bytes]) -> Path:
    """Write ``files``, path -> content, under ``root``."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def random_images(
    root: Path, keys: tuple[str, ...], train: int, val: int, shape: tuple[int, int] = (32, 32)
) -> Path:
    """Write ``train`` and ``val`` images of noise under ``root``, their classes in turn."""
    draws = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            pixels = draws.integers(0, 256, (*shape, 3), np.uint8)
            name = f"{split}/{keys[number % len(keys)]}/{number:03}.png"
            write(root, {name: encoded(Image.fromarray(pixels), "PNG")})
    return root
