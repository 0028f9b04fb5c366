"""Measures of conv1's kernels and of their division between the towers.

Serves section 6.1 and Figure 3. Each kernel has four numbers, none of which changes when the
kernel is multiplied by a constant:

- Colourfulness: the share of its energy (sum of squares) off the grey axis R = G = B. 0: the kernel
  responds to brightness only; 2/3 is what independent weights give; 1: it ignores brightness.
- Colour share: the same share of its variance, so without the kernel's mean. It is what could be
  read off the printed Figure 3, whose grey offset is unknown.
- Orientation selectivity: one minus the circular variance over orientation, |sum P exp(2 i theta)|
  / sum P over the power spectrum P (Ringach, Shapley and Hawken, J. Neurosci. 22, 2002, who applied
  it to a neuron's responses). 0: all orientations are equal; 1: one grating.
- Bandwidth: the standard deviation of the power over spatial frequency |f|, cycles per pixel.
  Small: one band of frequencies.

The power spectrum is the sum over the three channels, inside |f| <= 1/2, so that no direction has
more room than another. A Hann window keeps the edges of a small kernel from looking like oriented
structure. "Selective" is judged against chance: kernels of independent normal weights, as before
training.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

# points per side of the spectrum: steps of 1/32 cycle per pixel, a third of what an 11 x 11
# kernel resolves
GRID = 32
AT_ONCE = 512  # kernels transformed together: 12 MB of spectrum
# kernels of independent weights that represent chance: 200 of them are above the threshold of 5%
UNTRAINED = 4000
SELECTIVE_SHARE = 0.95  # "more selective than 95% of untrained ones"
PERMUTATIONS = 10_000

KINDS = ("colour", "orientation", "frequency")


def measure(kernels: np.ndarray) -> pd.DataFrame:
    """Return the measures of ``kernels`` (n, 3, k, k), one row per kernel.

    Columns: colourfulness; colour_share; orientation (selectivity); preferred (orientation of the
    bars, degrees in [0, 180), anticlockwise from horizontal); peak and bandwidth (cycles per
    pixel). A kernel of zeros has NaN."""
    kernels = np.asarray(kernels, np.float64)
    if kernels.ndim != 4 or kernels.shape[1] != 3 or kernels.shape[2] != kernels.shape[3]:
        raise ValueError(f"kernels of shape {kernels.shape}; they must be (n, 3, k, k)")
    energy = np.square(kernels).sum((1, 2, 3))
    scaled = kernels / np.sqrt(np.where(energy > 0, energy, np.nan))[:, None, None, None]
    # energy along the unit vector (1, 1, 1) / sqrt(3)
    grey = np.square(scaled.sum(1)).sum((1, 2)) / 3
    parts = [_spectral(part) for part in np.split(scaled, range(AT_ONCE, len(scaled), AT_ONCE))]
    columns = np.concatenate(parts, 1) if len(kernels) else np.empty((4, 0))
    return pd.DataFrame(
        {"colourfulness": 1 - grey, "colour_share": colour_share(kernels)}
        | dict(zip(("orientation", "preferred", "peak", "bandwidth"), columns, strict=True))
    )


def colour_share(kernels: np.ndarray) -> np.ndarray:
    """Return the share of each kernel's variance off the grey axis: (n, 3, k, k) -> (n,).

    NaN for a kernel whose weights are all equal.
    """
    about = kernels - kernels.mean((1, 2, 3), keepdims=True)
    variance = np.square(about).sum((1, 2, 3))
    grey = np.square(about.sum(1)).sum((1, 2)) / 3
    # the rounding of a constant kernel's mean is no variance
    none = variance <= 1e-24 * np.square(kernels).sum((1, 2, 3))
    return 1 - grey / np.where(none, np.nan, variance)


def _spectral(kernels: np.ndarray) -> np.ndarray:
    """Return selectivity, preferred orientation, peak, bandwidth: (n, 3, k, k) -> (4, n)."""
    k = kernels.shape[-1]
    taper = np.hanning(k + 2)[1:-1]  # the window's zeros are outside the kernel
    # (n, GRID, GRID)
    power = np.square(np.abs(np.fft.fft2(kernels * taper[:, None] * taper, (GRID, GRID)))).sum(1)
    f = np.fft.fftfreq(GRID)
    down, right = np.meshgrid(f, f, indexing="ij")
    radius = np.hypot(down, right)
    inside = radius <= 0.5
    # rows run downwards
    power, radius, angle = power[:, inside], radius[inside], np.arctan2(-down, right)[inside]
    total = power.sum(1)
    around = power[:, radius > 0] @ np.exp(2j * angle[radius > 0])
    selectivity = np.abs(around) / power[:, radius > 0].sum(1)
    # bars run across the direction in which the grating varies
    preferred = (np.degrees(np.angle(around)) / 2 + 90) % 180
    centre = power @ radius / total
    variance = power @ np.square(radius) / total - np.square(centre)
    peak = np.where(np.isnan(total), np.nan, radius[power.argmax(1)])
    return np.stack([selectivity, preferred, peak, np.sqrt(np.maximum(variance, 0))])


def untrained(k: int, seed: int = 0, count: int = UNTRAINED) -> np.ndarray:
    """Return ``count`` kernels (count, 3, k, k) of independent normal weights.

    conv1 starts from such weights (section 5). No measure depends on their scale.
    """
    return np.random.Generator(np.random.Philox(seed)).standard_normal((count, 3, k, k))


@cache
def _chance(k: int) -> pd.DataFrame:
    return measure(untrained(k))


def limits(k: int) -> dict[str, float]:
    """Return the value of each measure that 5% of untrained kernels of side ``k`` exceed.

    Bandwidth counts as exceeded when it is below the value.
    """
    chance = _chance(k)
    bounds = {
        "colourfulness": SELECTIVE_SHARE,
        "orientation": SELECTIVE_SHARE,
        "bandwidth": 1 - SELECTIVE_SHARE,
    }
    return {name: float(chance[name].quantile(bound)) for name, bound in bounds.items()}


class Selectivity(NamedTuple):
    """Which kernels exceed ``SELECTIVE_SHARE`` of untrained ones; boolean (n,) each."""

    colour: np.ndarray
    orientation: np.ndarray
    frequency: np.ndarray
    # in one of the three, with the threshold set so that chance gives 5% here too, not in each of
    # three trials
    any: np.ndarray


def selective(kernels: np.ndarray) -> Selectivity:
    """Judge ``kernels`` (n, 3, k, k) against untrained ones of the same size.

    Each measure becomes the share of untrained kernels that are less selective. ``any`` takes a
    kernel's highest share, and its threshold is the 95th percentile of the untrained kernels' own
    highest shares. A kernel of zeros is not selective.
    """
    chance = _scores(_chance(kernels.shape[-1]))  # (3, UNTRAINED)
    order = np.sort(chance, 1)
    shares, chance_shares = (
        _share_below(order, scores) for scores in (_scores(measure(kernels)), chance)
    )
    limit = np.quantile(chance_shares.max(0), SELECTIVE_SHARE)
    return Selectivity(*(shares > SELECTIVE_SHARE), shares.max(0) > limit)  # type: ignore[call-arg]


def _scores(measures: pd.DataFrame) -> np.ndarray:
    """Return (3, n) in the order of ``KINDS``; larger is more selective.

    A kernel of zeros is lowest.
    """
    scores = np.stack([measures["colourfulness"], measures["orientation"], -measures["bandwidth"]])
    return np.where(np.isnan(scores), -np.inf, scores)


def _share_below(order: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return np.stack(
        [np.searchsorted(row, values) / len(row) for row, values in zip(order, scores, strict=True)]
    )


class Specialisation(NamedTuple):
    """The difference between the towers' mean colourfulness, compared with random assignment."""

    difference: float  # of the towers' means, tower 0 minus tower 1
    chance: float  # size of the difference after dealing at random, geometric mean
    # size of the difference over chance: by chance, its geometric mean over many nets is 1
    ratio: float
    # share of random deals with a difference at least as large: the permutation test's probability
    p: float


class Medians(NamedTuple):
    """The distance between the towers' median colour shares, compared with random assignment."""

    difference: float  # its size
    chance: float  # its mean after dealing at random


def medians(
    shares: np.ndarray, tower: np.ndarray, seed: int = 0, permutations: int = PERMUTATIONS
) -> Medians:
    """Return how far the towers' median colour shares are apart in one net, and by chance.

    ``shares`` (n,) and ``tower`` (n,), 0 or 1, describe its conv1 kernels; NaN is left out.
    """
    known = ~np.isnan(shares)
    shares, first = shares[known], tower[known] == 0
    count = int(first.sum())
    if count in (0, len(first)):
        raise ValueError("each tower needs a kernel that is not all zeros")
    deals = np.random.Generator(np.random.Philox(seed)).permuted(
        np.tile(shares, (permutations, 1)), axis=1
    )
    apart = np.abs(np.median(deals[:, :count], axis=1) - np.median(deals[:, count:], axis=1))
    difference = abs(np.median(shares[first]) - np.median(shares[~first]))
    return Medians(float(difference), float(apart.mean()))


def specialisation(
    colourfulness: np.ndarray, tower: np.ndarray, seed: int = 0, permutations: int = PERMUTATIONS
) -> Specialisation:
    """Test by permutation whether the towers' kernels of one net differ in colour.

    ``colourfulness`` (n,) and ``tower`` (n,), 0 or 1, describe its conv1 kernels. Kernels of zeros
    (NaN) are left out. Raises ValueError if a tower has no other kernel.
    """
    known = ~np.isnan(colourfulness)
    colourfulness, first = colourfulness[known], tower[known] == 0
    count = int(first.sum())
    if count in (0, len(first)):
        raise ValueError("each tower needs a kernel that is not all zeros")
    total = colourfulness.sum()
    deals = np.random.Generator(np.random.Philox(seed)).permuted(
        np.tile(colourfulness, (permutations, 1)), axis=1
    )
    sums = deals[:, :count].sum(1)
    apart = np.abs(sums / count - (total - sums) / (len(first) - count))
    difference = float(colourfulness[first].mean() - colourfulness[~first].mean())
    # the same deal, summed in another order, is as large
    reached = int((apart >= abs(difference) * (1 - 1e-12)).sum())
    # ratios are averaged on logarithms, so chance is, too; a deal without any difference has none
    chance = float(stats.gmean(apart[apart > 0])) if apart.any() else 0.0
    return Specialisation(
        difference,
        chance,
        abs(difference) / chance if chance else 1.0,
        (reached + 1) / (permutations + 1),
    )


def combine(p: list[float]) -> float:
    """Return Fisher's combined probability of independent tests.

    It is the probability that chance makes all of ``p`` together this small: -2 sum ln p is
    chi-squared with 2n degrees of freedom.
    """
    return float(stats.combine_pvalues(p).pvalue)


def mosaic(kernels: np.ndarray, columns: int = 16, norm_filters: bool = False) -> np.ndarray:
    """Return Figure 3's picture of ``kernels`` (n, 3, k, k).

    float64 (height, width, 3) in [0, 1].

    ``columns`` kernels per row with white gaps of one pixel. As in the 2012 source (shownet.py),
    one minimum and one maximum over all kernels scale the picture, so that their strengths can be
    compared. ``norm_filters``, its other option, first gives each kernel zero mean and unit
    variance, so that weak ones show as well."""
    kernels = np.asarray(kernels, np.float64)
    if norm_filters:
        kernels = kernels - kernels.mean((1, 2, 3), keepdims=True)
        spread = kernels.std((1, 2, 3), keepdims=True)
        kernels = kernels / np.where(spread > 0, spread, 1)
    low, high = kernels.min(), kernels.max()
    shade = (kernels - low) / (high - low) if high > low else np.full_like(kernels, 0.5)
    n, _, k, _ = kernels.shape
    rows = -(-n // columns)
    cells = np.ones((rows * columns, k + 1, k + 1, 3))
    cells[:n, :k, :k] = shade.transpose(0, 2, 3, 1)
    grid = (
        cells.reshape(rows, columns, k + 1, k + 1, 3)
        .swapaxes(1, 2)
        .reshape(rows * (k + 1), columns * (k + 1), 3)
    )
    return grid[:-1, :-1]
