"""Decoding: from a file's bytes to RGB pixels, by one policy for every pipeline.

The paper says nothing of files that are not plain RGB JPEGs. ILSVRC has grey, CMYK and misnamed
ones, and a collection of one's own may have any kind. ``POLICY`` says what is done with each kind;
``data verify`` and the data card print it. Another decoder (DALI's) is given files whose header is
``jpeg.Frame.plain``, and the pixels of this one for all others."""

import copyreg
import errno
import io
import os
import re
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from replication.base.errors import InputError
from replication.base.text import printable
from replication.data.files import jpeg


class Rule(NamedTuple):
    """What is done with one kind of file."""

    kind: str
    treatment: Literal["convert", "quarantine", "keep"]
    how: str


POLICY = (
    Rule("missing", "quarantine", "the index lists it, and it does not exist"),
    Rule("unreachable", "quarantine", "the machine could not read it; tried again the next time"),
    Rule("empty", "quarantine", "zero bytes"),
    Rule("not an image", "quarantine", "no image format is recognised"),
    Rule("truncated", "quarantine", "the pixels end early or are damaged"),
    Rule(
        "unsupported",
        "quarantine",
        "too large to decode safely, a form without a decoder, or samples of neither 8 nor 16 bits",
    ),
    Rule("misnamed", "convert", "decoded by its content, regardless of its name"),
    Rule("animated", "convert", "the first frame"),
    Rule("grey", "convert", "repeated over the three channels"),
    Rule("CMYK", "convert", "to RGB as Pillow does, without a colour profile"),
    Rule("palette", "convert", "looked up"),
    Rule("alpha", "convert", "dropped; the colours stay as stored"),
    Rule("16-bit", "convert", "the high byte of each value is kept"),
    Rule("colour profile", "keep", "ignored: the values are taken as they are"),
    Rule("rotated", "convert", "turned upright by its EXIF tag"),
    Rule("small", "convert", "enlarged: the shorter side to the stored size"),
    Rule("duplicate", "keep", "the same pixels twice in one split"),
    Rule(
        "leak", "keep", "the same pixels in two splits: the net is tested on what it was trained on"
    ),
)

SUFFIXES = {
    "JPEG": {".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".jfi"},
    "MPO": {".jpg", ".jpeg", ".mpo"},
    "PNG": {".png", ".apng"},
    "GIF": {".gif"},
    "BMP": {".bmp"},
    "DIB": {".bmp", ".dib"},
    "PPM": {".ppm", ".pgm", ".pbm", ".pnm"},
    "TIFF": {".tif", ".tiff"},
    "WEBP": {".webp"},
    "AVIF": {".avif"},
    "JPEG2000": {".jp2", ".j2k"},
}
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
# what they say of a form that they do not decode
LIMIT = re.compile(r"unsupported|not supported|not available|unknown \w* ?mode|cannot handle", re.I)
MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"II*\0", b"MM\0*")
FOREIGN = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"avif": "AVIF", b"avis": "AVIF"}
HEADER = 20  # bytes: shorter files tell nothing of what they were
# Pillow's modes of 16-bit grey; it takes the high byte of 16-bit colour by itself
DEEP = ("I;16", "I;16L", "I;16B", "I;16N")
PLAIN = ("RGB", "RGBX", "L", "LA", "RGBA", "P", "PA", "1", "CMYK", "YCbCr")
CURES = {
    errno.EACCES: "give yourself read access",
    errno.EPERM: "give yourself read access",
    errno.EMFILE: "allow more open files (`ulimit -n`) and run again",
    errno.ENFILE: "close other programs and run again",
    errno.ENOMEM: "free some memory and run again",
}


class Unreadable(InputError):
    """A file that cannot be decoded. ``kind`` is its row of POLICY."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind

    def __reduce__(self) -> tuple:
        """Return how another process builds it again: without ``__init__``, which takes more."""
        return (
            copyreg.__newobj__,  # type: ignore[attr-defined]
            (type(self), *self.args),
            vars(self),
        )


class Unreachable(Unreadable):
    """A file that this machine could not read or hold; the file itself may be good."""

    def __init__(self, message: str) -> None:
        super().__init__("unreachable", message)


class Picture(NamedTuple):
    """One decoded file."""

    image: Image.Image  # mode RGB, upright
    kinds: tuple[str, ...]  # the rows of POLICY that its bytes belong to; () for a plain RGB JPEG


def decode(source: Path | bytes, name: str) -> np.ndarray:
    """Return the pixels of a file or of its bytes, uint8 (H, W, 3) RGB.

    ``name`` is the file's name in messages. Raises Unreadable."""
    return np.asarray(picture(source, name).image)


def picture(source: Path | bytes, name: str) -> Picture:
    """Return the image of a file or of its bytes, with the kinds of file that it is.

    Raises Unreadable, or Unreachable if the machine is at fault, with a message of one line."""
    shown = printable(name)
    content = source if isinstance(source, bytes) else read(source, name)
    if not content:
        raise Unreadable("empty", f"cannot decode {shown}: it is empty; get it again or remove it")
    header = jpeg.frame(content)
    if header is not None and header.limit:
        raise _unsupported(shown, header.limit)
    suffix = os.path.splitext(name)[1].lower()
    try:
        try:
            return _decoded(content, suffix, header)
        except (*DAMAGE, Image.DecompressionBombError) as error:
            if isinstance(error, (_DamagedError, Image.DecompressionBombError)):
                raise
            bare = _without_metadata(content)  # a large or broken comment must not decide
            if bare == content:
                raise
            return _decoded(bare, suffix, header)
    except MemoryError:
        raise Unreachable(
            f"cannot decode {shown}: not enough memory; free some memory and run again"
        ) from None
    except UnidentifiedImageError:
        raise _unidentified(content, shown, header) from None
    except (Image.DecompressionBombError, _UnsupportedError) as error:
        raise _unsupported(shown, _line(error)) from None
    except DAMAGE as error:
        if LIMIT.search(str(error)):
            raise _unsupported(shown, _line(error)) from None
        raise Unreadable(
            "truncated",
            f"cannot decode {shown}: truncated or damaged ({_line(error)}); get it again or remove"
            " it",
        ) from None


def read(path: Path, name: str) -> bytes:
    """Return a file's bytes. Raises Unreadable if it is missing, else Unreachable."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise Unreadable(
            "missing", f"cannot read {printable(name)}: {error.strerror}; get the data set again"
        ) from None
    except OSError as error:
        cure = CURES.get(error.errno, "check the disk or the network and run again")
        raise Unreachable(
            f"cannot read {printable(name)}: {error.strerror or error}; {cure}"
        ) from None


class _DamagedError(OSError):
    """What libjpeg says of a JPEG's pixels, metadata apart."""


class _UnsupportedError(Exception):
    """Pixels that the policy has no conversion for."""


def _decoded(content: bytes, suffix: str, header: jpeg.Frame | None) -> Picture:
    with Image.open(io.BytesIO(content)) as image:
        pixels = None
        if header is not None and image.format in ("JPEG", "MPO"):
            pixels = jpeg.decode(content) if header.plain else None
            if pixels is None and (warning := jpeg.damage(content, header.components)):
                raise _DamagedError(warning)
        if pixels is None:
            image.load()
        return _upright_rgb(image, pixels, content, suffix, header)


def _upright_rgb(
    image: Image.Image,
    pixels: np.ndarray | None,  # of a plain JPEG, which is then not loaded
    content: bytes,
    suffix: str,
    header: jpeg.Frame | None,
) -> Picture:
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
    if image.info.get("icc_profile"):
        kinds.append("colour profile")
    if pixels is not None:
        return Picture(Image.fromarray(pixels), tuple(kinds))
    turn = UPRIGHT.get(_orientation(image, header))
    if deep_grey:
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    elif mode not in PLAIN:
        raise _UnsupportedError(f"its pixels are of Pillow's mode {mode}")
    if turn is not None:
        kinds.append("rotated")
        image = image.transpose(turn)
    return Picture(image if image.mode == "RGB" else image.convert("RGB"), tuple(kinds))


def _orientation(image: Image.Image, header: jpeg.Frame | None) -> int | None:
    """Return EXIF's alone, as other decoders do; Pillow's own reading falls back on XMP."""
    if header is not None:
        return header.orientation
    if "exif" in image.info:
        return jpeg.exif_orientation(image.info["exif"])
    return image.getexif().get(jpeg.ORIENTATION) if image.format == "TIFF" else 1


def _deep(image: Image.Image, content: bytes) -> bool:
    """Return whether colours were stored in 16 bits, which Pillow reduces without saying so."""
    if image.format == "PNG":
        return content[24] == 16  # IHDR's bit depth
    if image.format == "TIFF":
        return 16 in image.tag_v2.get(258, ())  # type: ignore[attr-defined]  # BitsPerSample
    return False


def _without_metadata(content: bytes) -> bytes:
    if content.startswith(jpeg.START):
        return jpeg.without_metadata(content)
    if not content.startswith(MAGIC[1]):
        return content
    return MAGIC[1] + b"".join(
        chunk for name, chunk in _chunks(content) if name[:1].isupper() or name == b"tRNS"
    )


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, the whole chunk) of a PNG file; pixels need those with a capital."""
    at = len(MAGIC[1])
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        yield content[at + 4 : at + 8], content[at:end]
        at = end


def _unidentified(content: bytes, shown: str, header: jpeg.Frame | None) -> Unreadable:
    if content[4:8] == b"ftyp" and content[8:12] in FOREIGN:
        form = FOREIGN[content[8:12]]
        if form != "AVIF" or "AVIF" not in Image.OPEN:
            return _unsupported(shown, f"it is {form}, which this Pillow does not decode")
    elif header is None and (len(content) < HEADER or not _is_known(content)):
        return Unreadable(
            "not an image", f"cannot decode {shown}: not an image; get it again or remove it"
        )
    return Unreadable(
        "truncated", f"cannot decode {shown}: its header is damaged; get it again or remove it"
    )


def _is_known(content: bytes) -> bool:
    return content.startswith(MAGIC) or (content[:4] == b"RIFF" and content[8:12] == b"WEBP")


def _unsupported(shown: str, why: str) -> Unreadable:
    return Unreadable(
        "unsupported", f"cannot decode {shown}: {why}; convert it by hand or remove it"
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
