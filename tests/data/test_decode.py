"""One policy for every kind of file: pixels, refusals, and which files another decoder may have."""

import io
import pickle
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from replication.base.errors import InputError
from replication.data.files.decode import POLICY, Unreachable, Unreadable, decode, picture
from replication.data.pipelines.dali import plain_size

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (24, 32, 3), dtype=np.uint8)
RGB = Image.fromarray(PIXELS)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def exif(orientation: int | None, order: str = "<") -> bytes:
    """An EXIF block with a maker's name and, if there is one, an orientation."""
    entries = [struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc\0")]
    if orientation is not None:
        entries.append(struct.pack(order + "HHIHH", 0x0112, 3, 1, orientation, 0))
    head = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    return (
        b"Exif\0\0" + head + struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    )


def deep_png(values: np.ndarray) -> bytes:
    """A 16-bit RGB PNG file, which Pillow cannot write: uint16 (H, W, 3)."""
    height, width = values.shape[:2]

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


JPEG = encoded(RGB, "JPEG")
DEEP = RNG.integers(0, 2**16, (24, 32, 3), dtype=np.uint16)
ALPHA = Image.fromarray(np.concatenate([PIXELS, PIXELS[..., :1]], axis=2))
PALETTE = RGB.quantize(64)
FRAMES = [RGB.quantize(16), Image.new("P", (32, 24))]
FILES = {  # file name -> content, kinds, pixels where they are known exactly
    "plain.jpg": (JPEG, (), None),
    "progressive.JPEG": (encoded(RGB, "JPEG", progressive=True), (), None),
    "upright.jpg": (encoded(RGB, "JPEG", exif=exif(1)), (), None),
    "no orientation.jpg": (encoded(RGB, "JPEG", exif=exif(None, ">")), (), None),
    "plain.png": (encoded(RGB, "PNG"), (), PIXELS),
    "plain.bmp": (encoded(RGB, "BMP"), (), PIXELS),
    "plain.tif": (encoded(RGB, "TIFF"), (), PIXELS),
    "png.jpg": (encoded(RGB, "PNG"), ("misnamed",), PIXELS),
    "gif.jpg": (
        encoded(PALETTE, "GIF"),
        ("misnamed", "palette"),
        np.asarray(PALETTE.convert("RGB")),
    ),
    "moving.jpg": (
        encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
        ("misnamed", "animated", "palette"),
        np.asarray(FRAMES[0].convert("RGB")),
    ),
    "grey.jpg": (encoded(RGB.convert("L"), "JPEG"), ("grey",), None),
    "grey.png": (
        encoded(RGB.convert("L"), "PNG"),
        ("grey",),
        np.repeat(np.asarray(RGB.convert("L"))[..., None], 3, axis=2),
    ),
    "cmyk.jpg": (encoded(RGB.convert("CMYK"), "JPEG"), ("CMYK",), None),
    "palette.png": (
        encoded(PALETTE, "PNG", transparency=bytes(range(64))),
        ("palette", "alpha"),
        np.asarray(PALETTE.convert("RGB")),
    ),
    "alpha.png": (encoded(ALPHA, "PNG"), ("alpha",), PIXELS),
    "deep grey.png": (
        encoded(Image.fromarray(DEEP[..., 0]), "PNG"),
        ("grey", "16-bit"),
        np.repeat((DEEP[..., :1] >> 8).astype(np.uint8), 3, axis=2),
    ),
    "deep.png": (deep_png(DEEP), ("16-bit",), (DEEP >> 8).astype(np.uint8)),
}
PLAIN = {"plain.jpg", "progressive.JPEG", "upright.jpg", "no orientation.jpg", "grey.jpg"}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_is_recognised_and_converted(name):
    content, kinds, pixels = FILES[name]
    found = picture(content, name)
    image = decode(content, name)
    assert found.kinds == kinds and set(kinds) <= {
        rule.kind for rule in POLICY if rule.treatment == "convert"
    }
    assert image.dtype == np.uint8 and image.shape == (24, 32, 3)
    if pixels is not None:
        assert np.array_equal(image, pixels)
    elif "grey" in kinds:
        assert (image == image[..., :1]).all()


@pytest.mark.parametrize("name", FILES)
def test_only_plain_jpegs_are_left_to_other_decoders(name):
    content = FILES[name][0]
    size = decode(content, name).shape[:2] if name in PLAIN else None
    assert plain_size(content) == size


def test_cmyk_comes_out_with_the_right_colours():
    flat = Image.new("RGB", (16, 16), (200, 40, 90)).convert("CMYK")
    image = decode(encoded(flat, "JPEG", quality=95), "flat.jpg")
    # JPEG's rounding; an inverted file would be off by over 100
    assert np.abs(image.astype(int) - (200, 40, 90)).max() <= 4


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", "<>")
def test_photographs_are_turned_upright(orientation, order):
    marked = np.zeros((16, 32, 3), np.uint8)
    marked[:8, :16] = 255  # its first rows and columns
    image = decode(
        encoded(Image.fromarray(marked), "JPEG", quality=100, exif=exif(orientation, order)),
        "turned.jpg",
    )
    # rows, columns: EXIF
    place = {
        1: (0, 0),
        2: (0, 1),
        3: (1, 1),
        4: (1, 0),
        5: (0, 0),
        6: (0, 1),
        7: (1, 1),
        8: (1, 0),
    }[orientation]
    height, width = (16, 32) if orientation < 5 else (32, 16)
    assert image.shape == (height, width, 3)
    corners = image.reshape(2, height // 2, 2, width // 2, 3).mean(axis=(1, 3, 4))
    assert corners.argmax() == place[0] * 2 + place[1] and corners.max() > 240
    content = encoded(RGB, "JPEG", exif=exif(orientation, order))
    assert (plain_size(content) is None) == (orientation != 1)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_unreadable_metadata_does_not_rotate_an_image():
    content = encoded(RGB, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(decode(content, "odd.jpg"), decode(JPEG, "plain.jpg"))
    assert plain_size(content) is None


def test_rgb_without_a_transform_is_not_left_to_other_decoders():
    assert plain_size(encoded(RGB, "JPEG", keep_rgb=True)) is None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"<html>404 Not Found</html>", "not an image"),
        (JPEG[:-200], "truncated"),
        (JPEG[:3], "not an image"),
        (encoded(RGB, "PNG")[:-300], "truncated"),
        (encoded(Image.fromarray(PIXELS[..., 0].astype(np.float32)), "TIFF"), "unsupported"),
    ],
)
def test_what_cannot_be_decoded_is_refused_in_one_line(content, kind):
    with pytest.raises(InputError) as error:
        decode(content, "some/bad one.jpg")
    assert isinstance(error.value, Unreadable) and error.value.kind == kind
    assert "some/bad one.jpg" in str(error.value) and "\n" not in str(error.value)


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(Unreadable) as error:
        decode(JPEG, "huge.jpg")
    assert error.value.kind == "unsupported"


def test_a_vanished_file_is_named(tmp_path):
    with pytest.raises(Unreadable, match="gone.jpg") as error:
        decode(tmp_path / "gone.jpg", str(tmp_path / "gone.jpg"))
    assert error.value.kind == "missing"


SOUND = [content for content, _, _ in FILES.values()]


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's remarks on damaged metadata
@settings(deadline=None)  # a damaged header may claim a hundred million pixels
@given(
    st.sampled_from(SOUND),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.integers(20, 4000),
)
def test_damage_of_any_kind_is_an_image_or_one_line(content, changes, length):
    damaged = bytearray(content[:length])
    for at, value in changes:
        damaged[at % len(damaged)] = value
    plain_size(bytes(damaged))
    try:
        assert decode(bytes(damaged), "damaged").shape[2] == 3
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("error", [Unreadable("empty", "x.jpg is empty"), Unreachable("x.jpg")])
def test_a_broken_file_is_named_by_another_process_too(error):
    """An exception that cannot be built again breaks the pool of processes, whose word is then that
    one of them died."""
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (again.kind, str(again)) == (error.kind, str(error))
