"""JPEG files: their frame header, their metadata, and damage that decoders conceal.

libjpeg decodes a damaged file to the end and only warns; Pillow drops the warnings. ``decode``
and ``damage`` use libjpeg-turbo with warnings as errors, so that half a grey image is never taken
for a photograph. Format: ITU-T T.81, annex B."""

import re
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

try:
    import simplejpeg
except ImportError:  # on a bare machine that trains on files which were looked at elsewhere
    simplejpeg = None

ORIENTATION = 0x0112  # EXIF tag
EXIF = b"Exif\0\0"
START, END = b"\xff\xd8", b"\xff\xd9"  # markers of the image
APP0, APP1, APP14, APP15, COMMENT = 0xE0, 0xE1, 0xEE, 0xEF, 0xFE  # markers of metadata segments
SCAN, HIERARCHY = 0xDA, 0xDE
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # start of frame, T.81 table B.1
LOSSLESS = frozenset({0xC3, 0xC7, 0xCB, 0xCF})
DIFFERENTIAL = frozenset({0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF})
PADDING = 4  # zero bytes before the end marker with which some encoders fill a word
EXTRA = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
# libjpeg's warnings about the pixels' codes; its others are about metadata (jerror.h)
PIXEL_WARNINGS = ("Corrupt JPEG data", "Premature end", "Inconsistent progression")


class Frame(NamedTuple):
    """The frame header, with what the segments before it say about colours and orientation."""

    marker: int  # 0xC0 to 0xCF: the coding process
    bits: int  # of a sample
    height: int
    width: int
    components: int
    transformed: bool  # three components are YCbCr, not RGB
    orientation: int | None  # of EXIF; 1 without a tag, None if the block cannot be read
    hierarchical: bool

    @property
    def plain(self) -> bool:
        """Return whether it is upright 8-bit grey or YCbCr, Huffman coded, as most are."""
        colours = self.components == 1 or (self.components == 3 and self.transformed)
        usual = self.marker <= 0xC2 and self.bits == 8 and not self.hierarchical
        return usual and colours and self.orientation == 1 and min(self.height, self.width) > 0

    @property
    def limit(self) -> str:
        """Why this project does not decode such a file; "" if it does."""
        if self.marker in LOSSLESS:
            return "it is a lossless JPEG"
        if self.hierarchical or self.marker in DIFFERENTIAL:
            return "it is a hierarchical JPEG"
        if self.bits != 8:
            return f"its samples have {self.bits} bits instead of 8"
        if self.height == 0:
            return "its frame header gives no height, which follows the pixels (DNL marker)"
        if self.components not in (1, 3, 4):
            return f"it has {self.components} colour components instead of 1, 3 or 4"
        return ""


def frame(content: bytes) -> Frame | None:
    """Return the frame header of a JPEG's bytes, or None if no header makes sense."""
    transformed, orientation, hierarchical = True, 1, False
    for marker, start, end in segments(content):
        body = content[start:end]
        if marker in FRAMES:
            if len(body) < 9:
                return None
            bits, height, width, components = struct.unpack_from(">BHHB", body)
            if body[6:15:3] == b"RGB":  # the components' names
                transformed = False
            return Frame(
                marker, bits, height, width, components, transformed, orientation, hierarchical
            )
        if marker == APP1 and body.startswith(EXIF):
            orientation = exif_orientation(body)
        elif marker == APP14 and body.startswith(b"Adobe"):
            transformed = body[11:12] != b"\0"
        elif marker == HIERARCHY:
            hierarchical = True
    return None


def segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield (marker, start, end) of each segment's body, up to the first scan's.

    Ends early at bytes that are no segment."""
    if not content.startswith(START):
        return
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        if length < 2:
            return
        yield marker, at + 4, at + 2 + length
        if marker == SCAN:
            return
        at += 2 + length


def without_metadata(content: bytes) -> bytes:
    """Return the file without comments and metadata; Adobe's and JFIF's segments stay."""
    kept, last = [START], 2
    for marker, start, end in segments(content):
        body = content[start:end]
        colours = marker == APP0 and body.startswith(b"JFIF\0\1")
        colours = colours or (marker == APP14 and body.startswith(b"Adobe"))
        if colours or not (APP0 <= marker <= APP15 or marker == COMMENT):
            kept.append(content[start - 4 : end])
        last = end
    return b"".join(kept) + content[last:]


def decode(content: bytes) -> np.ndarray | None:
    """Return the pixels of a plain JPEG, uint8 (H, W, 3) RGB, or None if libjpeg-turbo warns."""
    if simplejpeg is None:
        return None
    try:
        return simplejpeg.decode_jpeg(content, "RGB", strict=True)
    except ValueError:
        return None


def damage(content: bytes, components: int) -> str:
    """Return what libjpeg-turbo says of damaged pixels, "" if they are complete.

    Metadata never decide: the file is judged without them. A few zero bytes before the end marker
    do no harm to pixels."""
    if simplejpeg is None:
        return ""
    bare = without_metadata(content)
    warning = _warning(bare, components)
    extra = EXTRA.search(warning)
    if extra and int(extra[1]) <= PADDING:
        end = bare.rfind(END)
        if not any(bare[end - int(extra[1]) : end]):
            return ""
    return warning if warning.startswith(PIXEL_WARNINGS) else ""


def is_sound(content: bytes, components: int) -> bool:
    """Return whether libjpeg-turbo reads every pixel without a complaint of any kind.

    False if it cannot be asked: then only decoding the file can tell."""
    return simplejpeg is not None and not _warning(without_metadata(content), components)


def _warning(content: bytes, components: int) -> str:
    colours = "CMYK" if components == 4 else "RGB"
    try:
        # an eighth of the size: the codes are read in full, and little else is computed
        simplejpeg.decode_jpeg(
            content, colours, min_height=1, min_width=1, min_factor=8, strict=True
        )
    except ValueError as error:
        return " ".join(str(error).split())
    return ""


def exif_orientation(block: bytes) -> int | None:
    """Return the orientation in an EXIF block (a small TIFF file).

    1 if the block has none, None if it cannot be read."""
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
