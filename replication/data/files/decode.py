"""From a file's bytes to RGB pixels by one stated policy, the same in every pipeline (section 2).

The paper says nothing of files that are no plain RGB JPEG; ILSVRC holds grey, CMYK and misnamed
ones, and photographs of one's own hold the rest. ``POLICY`` says what is done with each kind;
``data verify`` and the data card print it. ``needs_reference`` tells from a file's header whether
another decoder (DALI's) may be trusted with it, or must be given this one's pixels."""

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from replication.base.errors import InputError


class Rule(NamedTuple):
    """What is done with one kind of file."""

    kind: str
    treatment: Literal["convert", "quarantine", "keep"]
    how: str


POLICY = (
    Rule("missing", "quarantine", "the index lists it, and it cannot be opened"),
    Rule("empty", "quarantine", "zero bytes"),
    Rule("not an image", "quarantine", "no format that Pillow knows"),
    Rule("truncated", "quarantine", "the pixels end early or are damaged"),
    Rule(
        "unsupported",
        "quarantine",
        "too large to decode safely, or pixels that are neither 8 nor 16 bits",
    ),
    Rule("misnamed", "convert", "decoded by its content, whatever its name says"),
    Rule("animated", "convert", "the first frame"),
    Rule("grey", "convert", "repeated over the three channels"),
    Rule("CMYK", "convert", "to RGB as Pillow does, without a colour profile"),
    Rule("palette", "convert", "looked up"),
    Rule("alpha", "convert", "dropped; the colours stay as stored"),
    Rule("16-bit", "convert", "the high byte of each value is kept"),
    Rule("rotated", "convert", "set upright by its EXIF tag"),
    Rule("small", "convert", "enlarged: the shorter side to the stored size"),
    Rule("duplicate", "keep", "the same pixels twice in one split"),
    Rule(
        "leak", "keep", "the same pixels in two splits: the net is tested on what it was trained on"
    ),
)

SUFFIXES = {
    "JPEG": {".jpg", ".jpeg"},
    "MPO": {".jpg", ".jpeg"},
    "PNG": {".png"},
    "BMP": {".bmp"},
    "DIB": {".bmp"},
    "PPM": {".ppm"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
}
ORIENTATION = 0x0112  # EXIF tag
EXIF = b"Exif\0\0"
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
DAMAGE = (  # what Pillow's decoders raise on damaged files
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
)
# Pillow's modes of 16-bit grey; it takes the high byte of 16-bit colour by itself
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
PLAIN = ("RGB", "RGBX", "L", "LA", "RGBA", "P", "PA", "1", "CMYK", "YCbCr")


class Unreadable(InputError):
    """A file that cannot be decoded; ``kind`` is its row of POLICY."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Picture(NamedTuple):
    """One decoded file."""

    image: Image.Image  # mode RGB, upright
    kinds: tuple[str, ...]  # of POLICY, those that its bytes tell: empty for a plain RGB JPEG


def decode(source: Path | bytes, name: str) -> np.ndarray:
    """Pixels of a file or of its bytes as uint8 (H, W, 3) RGB. ``name`` is what the InputError
    calls it.
    """
    return np.asarray(picture(source, name).image)


def picture(source: Path | bytes, name: str) -> Picture:
    """The same before it is an array, with the kinds of file that it is. Raises Unreadable, one
    line.
    """
    try:
        content = source if isinstance(source, bytes) else source.read_bytes()
    except OSError as error:
        raise Unreadable(
            "missing", f"cannot read {name}: {error.strerror or error}; get the data set again"
        ) from None
    if not content:
        raise Unreadable("empty", f"cannot decode {name}: it is empty; get it again or remove it")
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return _upright_rgb(image, content, os.path.splitext(name)[1].lower())
    except UnidentifiedImageError:
        raise Unreadable(
            "not an image", f"cannot decode {name}: not an image; get it again or remove it"
        ) from None
    except (Image.DecompressionBombError, MemoryError, _UnsupportedError) as error:
        raise Unreadable(
            "unsupported", f"cannot decode {name}: {_line(error)}; remove it or convert it by hand"
        ) from None
    except DAMAGE as error:
        raise Unreadable(
            "truncated", f"cannot decode {name}: {_line(error)}; get it again or remove it"
        ) from None


def needs_reference(source: Path | bytes) -> bool:
    """Whether these bytes are anything but a JPEG of 8-bit grey or YCbCr pixels that stands
    upright: decode those here, not elsewhere.

    Reads the JPEG's markers up to the frame header; a header that makes no sense counts as True, so
    that the error names the file."""
    if not isinstance(source, bytes):
        with source.open("rb") as file:
            source = file.read(1 << 17)  # two full segments; a longer header is decoded here
    return not _is_plain_jpeg(source)


def _is_plain_jpeg(content: bytes) -> bool:
    if content[:2] != b"\xff\xd8":
        return False
    at, end = 2, len(content) - 9
    transformed = True  # Adobe's marker: three components without a transform are RGB as they are
    while at < end:
        marker = content[at + 1]
        if content[at] != 0xFF:
            return False
        if marker == 0xFF:  # padding
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            components, names = content[at + 9], content[at + 10 : at + 19 : 3]
            colours = components == 3 and transformed and names != b"RGB"
            return marker <= 0xC2 and content[at + 4] == 8 and (components == 1 or colours)
        if marker == 0xE1 and content[at + 4 : at + 10] == EXIF:
            if (
                _exif_orientation(
                    content[at + 4 : at + 2 + (content[at + 2] << 8) + content[at + 3]]
                )
                != 1
            ):
                return False
        elif marker == 0xEE and content[at + 4 : at + 9] == b"Adobe":
            transformed = content[at + 15 : at + 16] != b"\0"
        at += 2 + (content[at + 2] << 8) + content[at + 3]
    return False


def _exif_orientation(block: bytes) -> int | None:
    """The orientation in an EXIF block (a small TIFF file), 1 if it has none, None if it cannot be
    read.
    """
    block = block.removeprefix(EXIF)
    order = {b"II": "<", b"MM": ">"}.get(block[:2])
    if order is None:
        return None
    try:
        (start,) = struct.unpack_from(order + "I", block, 4)
        (entries,) = struct.unpack_from(order + "H", block, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, value = struct.unpack_from(order + "H6xH", block, at)
            if tag == ORIENTATION:
                return value
    except struct.error:
        return None
    return 1


class _UnsupportedError(Exception):
    """Pixels that the policy has no conversion for."""


def _upright_rgb(image: Image.Image, content: bytes, suffix: str) -> Picture:
    kinds = []
    if suffix and suffix not in SUFFIXES.get(image.format, ()):
        kinds.append("misnamed")
    if image.format != "MPO" and getattr(image, "is_animated", False):
        kinds.append("animated")
    mode = image.mode
    # these two have no more than 16 bits
    deep_grey = mode in DEEP or (mode == "I" and image.format in ("PNG", "PPM"))
    if mode in ("L", "LA", "1") or deep_grey:
        kinds.append("grey")
    if mode == "CMYK":
        kinds.append("CMYK")
    if mode in ("P", "PA"):
        kinds.append("palette")
    if mode in ("LA", "PA", "RGBA") or image.info.pop("transparency", None) is not None:
        kinds.append("alpha")
    if deep_grey or _deep(image, content):
        kinds.append("16-bit")
    turn = UPRIGHT.get(_orientation(image))
    if deep_grey:
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif mode not in PLAIN:
        raise _UnsupportedError(f"its pixels are of Pillow's mode {mode}")
    if turn is not None:
        kinds.append("rotated")
        image = image.transpose(turn)
    return Picture(image if image.mode == "RGB" else image.convert("RGB"), tuple(kinds))


def _orientation(image: Image.Image) -> int | None:
    """By EXIF alone, as other decoders do; Pillow's own reading falls back on XMP."""
    if "exif" in image.info:
        return _exif_orientation(image.info["exif"])
    return image.getexif().get(ORIENTATION) if image.format == "TIFF" else 1


def _deep(image: Image.Image, content: bytes) -> bool:
    """Whether colours were stored in 16 bits, which Pillow does not tell after it has reduced
    them.
    """
    if image.format == "PNG":
        return content[24] == 16  # IHDR's bit depth
    if image.format == "TIFF":
        return 16 in image.tag_v2.get(258, ())  # BitsPerSample
    return False


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
