"""The pictures of the embedded data set: one shape or texture each, drawn from a seed.

A class is a shape or a texture and never a colour. Position, scale, rotation, colours,
illumination, background, clutter, occlusion and noise are nuisance, drawn for every image.

Only exactly rounded arithmetic is used on the pixels, and the Philox generator's uniform numbers;
so the pixels depend on the seed alone."""

import math

import numpy as np

SEED = 2012
NAMES = (
    "disc",
    "ring",
    "triangle",
    "square",
    "cross",
    "star",
    "stripes",
    "checker",
    "dots",
    "spiral",
)
SHORT = (64, 112)  # pixels of the shorter side: from, up to
LONG = 160  # pixels of the longer side at most
GREY_SHARE = 0.05  # like the grey photographs of ILSVRC


def render(label: int, number: int, seed: int = SEED) -> np.ndarray:
    """Return image ``number``, of class ``label``: uint8 (H, W, 3), or (H, W) for a grey one."""
    rng = np.random.Generator(np.random.Philox(key=np.array([seed, number], np.uint64)))
    height, width = _size(rng)
    y = np.arange(0.5, height, dtype=np.float32)[:, None]
    x = np.arange(0.5, width, dtype=np.float32)[None, :]
    short = min(height, width)

    image = _background(rng, height, width)
    for _ in range(int(_uniform(rng, 1, 5))):
        _clutter(rng, image, x, y, short)

    radius = short * _uniform(rng, 0.3, 0.44)
    u, v = _turned(
        rng,
        x - (width / 2 + short * _uniform(rng, -0.12, 0.12)),
        y - (height / 2 + short * _uniform(rng, -0.12, 0.12)),
        radius,
    )
    u = u * np.float32(_uniform(rng, 0.85, 1.2))
    inside = _soft(_shape(label, u, v, rng), radius)
    if rng.random() < 0.25:
        inside = inside * _not_occluded(rng, u, v, radius)
    paint = _contrasting(rng, image, inside)
    _blend(image, paint * (1 + _waves(rng, height, width, 6, 1) * np.float32(0.3)), inside)

    image *= _light(rng, x / width, y / height)
    image += (rng.random((height, width, 3), np.float32) - np.float32(0.5)) * np.float32(
        _uniform(rng, 0.05, 0.25)
    )
    if rng.random() < GREY_SHARE:
        image = (image[..., 0] * np.float32(0.299) + image[..., 1] * np.float32(0.587)) + image[
            ..., 2
        ] * np.float32(0.114)
    return np.rint(np.clip(image, 0, 1) * np.float32(255)).astype(np.uint8)


def _shape(label: int, u: np.ndarray, v: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return a signed distance-like value, positive inside the shape.

    The shape fills about the unit disc of (u, v)."""
    r = np.sqrt(u * u + v * v)
    name = NAMES[label]
    if name == "disc":
        return 0.85 - r
    if name == "ring":
        return 0.2 - np.abs(r - 0.75)
    if name == "triangle":
        return np.minimum.reduce([0.5 - (u * c + v * s) for c, s in _directions(3)])
    if name == "square":
        return 0.75 - np.maximum(np.abs(u), np.abs(v))
    if name == "cross":
        a, b = np.abs(u), np.abs(v)
        return np.maximum(np.minimum(1 - a, 0.28 - b), np.minimum(1 - b, 0.28 - a))
    if name == "star":  # inside at least four of a pentagram's five lines
        return np.partition(
            np.stack([0.38 - (u * c + v * s) for c, s in _directions(5)]), 1, axis=0
        )[1]
    window = 1 - r
    k = _uniform(rng, 1.3, 1.9)  # periods in a unit
    if name == "stripes":
        return np.minimum(window, _wave(u * k) / k)
    if name == "checker":
        a, b = _wave(u * k), _wave(v * k)
        return np.minimum(
            window, np.where((a > 0) == (b > 0), 1, -1) * np.minimum(np.abs(a), np.abs(b)) / k
        )
    if name == "dots":
        a, b = u * k - np.rint(u * k), v * k - np.rint(v * k)
        return np.minimum(window, (0.34 - np.sqrt(a * a + b * b)) / k)
    # 0 to 1 around
    turn = (
        np.where(
            v >= 0, 1 - u / (np.abs(u) + np.abs(v) + 1e-6), 3 + u / (np.abs(u) + np.abs(v) + 1e-6)
        )
        / 4
    )
    return np.minimum(
        window, _wave(r * np.float32(k) - (turn if rng.random() < 0.5 else -turn)) / k
    )


def _directions(n: int) -> list[tuple[float, float]]:
    return [_unit(2 * math.pi * i / n) for i in range(n)]


def _unit(angle: float) -> tuple[float, float]:
    # rounded: C libraries differ in the last bit
    return round(math.cos(angle), 6), round(math.sin(angle), 6)


def _wave(t: np.ndarray) -> np.ndarray:
    """Return a triangle wave of period 1, from -0.25 to 0.25."""
    return np.float32(0.25) - np.abs(t - np.floor(t) - np.float32(0.5))


def _soft(inside: np.ndarray, pixels: float) -> np.ndarray:
    """Return coverage 0 to 1 with an edge of about one pixel; (H, W) to (H, W, 1)."""
    return np.clip(inside * np.float32(pixels) + np.float32(0.5), 0, 1).astype(np.float32)[
        ..., None
    ]


def _turned(
    rng: np.random.Generator, x: np.ndarray, y: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    cosine, sine = _unit(_uniform(rng, 0, 2 * math.pi))
    c, s = np.float32(cosine / radius), np.float32(sine / radius)
    return x * c + y * s, y * c - x * s


def _size(rng: np.random.Generator) -> tuple[int, int]:
    short = int(_uniform(rng, *SHORT))
    long = min(LONG, int(short * _uniform(rng, 1, 1.5)))
    return (short, long) if rng.random() < 0.6 else (long, short)


def _background(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Return a gradient of two colours with coarse coloured and fine grey texture.

    float32 (H, W, 3) in 0 to 1."""
    first, second = _colour(rng), _colour(rng)
    ramp = _waves(rng, height, width, 2, 1)
    image = first + (second - first) * (ramp + np.float32(0.5))
    image += _waves(rng, height, width, int(_uniform(rng, 3, 8)), 3) * np.float32(
        _uniform(rng, 0.1, 0.5)
    )
    image += _waves(rng, height, width, int(_uniform(rng, 12, 32)), 1) * np.float32(
        _uniform(rng, 0.05, 0.4)
    )
    return image


def _waves(
    rng: np.random.Generator, height: int, width: int, cells: int, channels: int
) -> np.ndarray:
    """Return smooth noise in -0.5 to 0.5, float32 (H, W, channels).

    Random values on a grid of ``cells``, bilinear between them."""
    grid = rng.random((cells + 1, cells + 1, channels), np.float32) - np.float32(0.5)

    def between(values: np.ndarray, n: int) -> np.ndarray:
        at = np.arange(n, dtype=np.float32) * np.float32(cells / n)
        low = at.astype(np.int64)
        part = (at - low.astype(np.float32))[:, None, None]
        return values[low] + (values[low + 1] - values[low]) * part

    return between(between(grid, height).transpose(1, 0, 2), width).transpose(1, 0, 2)


def _clutter(
    rng: np.random.Generator, image: np.ndarray, x: np.ndarray, y: np.ndarray, short: int
) -> None:
    """Draw a small blob or a thin line somewhere."""
    height, width = image.shape[:2]
    size = short * _uniform(rng, 0.04, 0.12)
    u, v = _turned(rng, x - width * rng.random(), y - height * rng.random(), size)
    stretch = np.float32(_uniform(rng, 0.1, 1))
    if rng.random() < 0.5:
        inside = 1 - np.sqrt(u * u + v * v * stretch)
    else:
        inside = np.minimum(
            np.float32(0.4) - np.abs(v), np.float32(_uniform(rng, 2, 6)) - np.abs(u)
        )
    _blend(image, _colour(rng), _soft(inside, size))


def _not_occluded(
    rng: np.random.Generator, u: np.ndarray, v: np.ndarray, radius: float
) -> np.ndarray:
    """Return 0 inside a band that crosses the object, 1 elsewhere."""
    c, s = _unit(_uniform(rng, 0, 2 * math.pi))
    across = u * np.float32(c) + v * np.float32(s)
    return 1 - _soft(
        np.float32(_uniform(rng, 0.08, 0.22))
        - np.abs(across - np.float32(_uniform(rng, -0.6, 0.6))),
        radius,
    )


def _contrasting(rng: np.random.Generator, image: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return a colour that is lighter or darker than what the object covers."""
    # whole numbers: a sum in any order is the same
    covered = np.rint(image[inside[..., 0] > 0.5] * np.float32(255)).astype(np.int64)
    behind = int(covered.sum()) / (255 * max(covered.size, 1))
    step = _uniform(rng, 0.25, 0.55) * (1 if rng.random() < 0.5 else -1)
    if not 0 <= behind + step <= 1:
        step = -step
    colour = _colour(rng)
    return (
        colour - np.float32(float(colour.astype(np.float64).sum()) / 3) + np.float32(behind + step)
    )


def _light(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return coloured illumination that falls off to one side; (H, W, 3) around 1."""
    tint = np.array([_uniform(rng, 0.75, 1.2) for _ in range(3)], np.float32)
    c, s = _unit(_uniform(rng, 0, 2 * math.pi))
    fall = np.float32(_uniform(rng, 0, 0.5))
    return (
        1 + fall * ((x - np.float32(0.5)) * np.float32(c) + (y - np.float32(0.5)) * np.float32(s))
    )[..., None] * tint


def _blend(image: np.ndarray, paint: np.ndarray, cover: np.ndarray) -> None:
    image += (paint - image) * cover


def _colour(rng: np.random.Generator) -> np.ndarray:
    """Return a muted colour: a grey with up to a quarter more or less in each channel."""
    grey = _uniform(rng, 0.15, 0.85)
    return np.array([grey + _uniform(rng, -0.25, 0.25) for _ in range(3)], np.float32)


def _uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low + (high - low) * float(rng.random())
