"""Similarity of two labels in WordNet, the hierarchy behind ImageNet's classes.

Serves section 6.1: most wrong labels are "reasonable". The similarity is Wu and Palmer's (1994),
2 d / (2 d + a + b): d counts the nodes on the shortest path from the root to a common ancestor,
both included; a and b are the steps from the two labels up to it; the ancestor that gives the
largest value counts. 1 is the same label; near 0, the labels share only the root.

The package contains the hierarchy: WordNet 3.0's nouns, whose numbers are the wnids, in the format
of ImageNet's ``wordnet.is_a.txt``, one "parent child" pair per line. Another file of that format
can be read instead.
"""

import gzip
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from replication.base.errors import InputError

EMBEDDED = Path(__file__).with_name("wordnet.is_a.txt.gz")
TOP = 5  # section 6.1 looks at the five most probable labels

Parents = dict[str, tuple[str, ...]]


@cache
def read(path: Path = EMBEDDED) -> Parents:
    """Return the parents of each wnid, from lines "parent child", plain or gzipped.

    Raises InputError that names the first line of another form.
    """
    try:
        with (
            gzip.open(path, "rt", encoding="ascii")
            if path.suffix == ".gz"
            else open(path, encoding="ascii")
        ) as file:
            pairs = [line.split() for line in file]
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read as a hierarchy ({error}); it has a line `parent child` for"
            " each pair of wnids"
        ) from error
    for number, pair in enumerate(pairs, 1):
        if len(pair) != 2:
            raise InputError(
                f"{path}, line {number}: not `parent child`; use ImageNet's wordnet.is_a.txt"
            )
    parents: Parents = {}
    for parent, child in pairs:
        parents[child] = (*parents.get(child, ()), parent)
    return parents


def missing(classes: Sequence[str], parents: Parents) -> list[str]:
    """Return the ``classes`` that the hierarchy does not place below another node."""
    return [key for key in classes if key not in parents]


def similarity(classes: Sequence[str], parents: Parents) -> np.ndarray:
    """Return Wu and Palmer's similarity of each pair of ``classes`` (wnids): float64 (K, K).

    1 on the diagonal, 0 if nothing is shared. Raises InputError that names the classes that are not
    in the hierarchy."""
    if lost := missing(classes, parents):
        raise InputError(
            f"not in the hierarchy: {', '.join(lost[:3])}{' ...' if len(lost) > 3 else ''}; its"
            " labels are wnids"
        )
    steps = [_steps_up(key, parents) for key in classes]
    ancestors = {node: column for column, node in enumerate(sorted(set().union(*steps)))}
    depth = np.array([_depth(node, parents) for node in ancestors], np.float64)
    above = np.full((len(classes), len(ancestors)), np.inf)
    for row, found in enumerate(steps):
        above[row, [ancestors[node] for node in found]] = list(found.values())
    return np.stack([(2 * depth / (2 * depth + above + own)).max(1) for own in above])


def _steps_up(key: str, parents: Parents) -> dict[str, int]:
    """Return ``key`` and every ancestor of it, each with the fewest steps that lead there."""
    steps, level = {key: 0}, [key]
    while level:
        step = steps[level[0]] + 1
        level = [
            parent
            for node in level
            for parent in parents.get(node, ())
            if steps.setdefault(parent, step) == step
        ]
        level = list(dict.fromkeys(level))
    return steps


def _depth(node: str, parents: Parents) -> int:
    """Return the number of nodes on the shortest path from a root to ``node``, both included."""
    return 1 + min(
        (step for above, step in _steps_up(node, parents).items() if above not in parents),
        default=0,
    )


def closeness(
    p: np.ndarray, labels: np.ndarray, similarity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return how similar wrong top labels are to the right one, and chance's; float64 (N,).

    ``p`` (N, K) are probabilities, ``labels`` (N,), ``similarity`` (K, K). The wrong ones among the
    ``TOP`` most probable labels are averaged. Chance is the mean over all wrong labels, which is
    what labels drawn at random give. Needs K > TOP, because otherwise every label is among them.
    """
    n, k = p.shape
    if k <= TOP:
        raise ValueError(f"{k} classes; there must be more than {TOP}")
    best = np.argpartition(-p, TOP, axis=1)[:, :TOP]
    wrong = best != labels[:, None]
    near = similarity[labels[:, None], best]
    chance = (similarity.sum(1) - np.diagonal(similarity)) / (k - 1)
    return (near * wrong).sum(1) / wrong.sum(1), chance[labels]
