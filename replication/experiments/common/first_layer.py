"""What is kept of the first layers of trained nets (Figure 3, section 6.1).

Weights are not published. So the measures of each net's kernels are stored with the results, and
the kernels of the net that is pictured, and the page can be made again without the weights.
"""

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from replication.analysis import kernels as analysis
from replication.base.errors import InputError
from replication.evaluation.artefacts import read_kernels
from replication.evaluation.trained import can_evaluate, trained_net
from replication.recipe import Recipe
from replication.runs.facts import MEASURES, is_known, kept
from replication.runs.store import Run, trained_again

SELECTIVE = tuple(f"selective_{name}" for name in (*analysis.KINDS, "any"))
NUMBERS = ("colourfulness", "colour_share", "orientation", "preferred", "peak", "bandwidth")
COLUMNS = ("tower", "kernel", *NUMBERS, *SELECTIVE)
# which kernels a row is of: sums, the same on any machine but for rounding; the spectral measures
# jump at ties
OWN = ["tower", "kernel", "colourfulness", "colour_share"]


def conv1(recipe: Recipe) -> list[np.ndarray]:
    """Return conv1's trained kernels of each tower, float32 (n, 3, k, k).

    Raises InputError if the run is not available or its training diverged.
    """
    weights = dict(trained_net(recipe).named_parameters())
    towers = [
        weights[f"towers.{tower}.conv1.weight"].detach().numpy()
        for tower in range(recipe.net.towers)
    ]
    if not all(np.isfinite(kernels).all() for kernels in towers):
        raise InputError(
            f"the weights of the run {recipe.id} are not finite: its training has diverged, lower"
            " its rate"
        )
    return towers


def measures(folder: Path, run: Run) -> pd.DataFrame:
    """Return the measures of each kernel of a net, one row per kernel.

    ``folder``: of the experiment's results; without the measures there, they are computed from the
    net's weights and added. The columns are those of ``measure``. Raises InputError for a damaged
    entry."""
    recipe = run.task.recipe
    stored = kept(
        folder / MEASURES,
        recipe.id,
        lambda: _columns(measure(recipe.seed, conv1(recipe))),
        [run],
    )
    columns = {name: values for name, values in stored.items() if name != "training"}
    lengths = {len(values) if isinstance(values, list) else 0 for values in columns.values()}
    if set(columns) != set(COLUMNS) or len(lengths) != 1 or 0 in lengths:
        raise InputError(
            f"{folder / MEASURES}: the entry {recipe.id} is damaged; remove it, and it is computed"
            " from the net's weights again"
        )
    table = pd.DataFrame(columns, columns=list(COLUMNS))
    return table.replace({None: np.nan}).infer_objects()


def are_known(folder: Path, run: Run) -> bool:
    """Return whether ``measures`` can return without the weights of ``run``."""
    return is_known(folder / MEASURES, run.task.recipe.id, [run])


def can_be_shown(file: Path, folder: Path, run: Run) -> bool:
    """Return whether the kernels of a net can be shown: from ``file``, or from its weights.

    Weights of another training than the measures in ``folder`` do not count."""
    if published(file, folder, run) is not None:
        return True
    others = are_known(folder, run) and trained_again(run)
    return can_evaluate(run.task.recipe) and not others


def shown(file: Path, folder: Path, run: Run) -> list[np.ndarray]:
    """Return the kernels of a net that can be shown."""
    found = published(file, folder, run)
    return conv1(run.task.recipe) if found is None else found


def published(file: Path, folder: Path, run: Run) -> list[np.ndarray] | None:
    """Return the kernels of ``run`` that are stored in ``file``.

    None if the file is damaged or holds another net's kernels, as the measures in ``folder`` show.
    """
    if not file.is_file() or not are_known(folder, run):
        return None
    try:
        towers = read_kernels(file)
        theirs = measure(run.task.recipe.seed, towers)[OWN].to_numpy(float)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    ours = measures(folder, run)[OWN].to_numpy(float)
    same = ours.shape == theirs.shape and np.allclose(
        ours, theirs, rtol=0, atol=1e-9, equal_nan=True
    )
    return towers if same else None


def measure(seed: int, towers: list[np.ndarray]) -> pd.DataFrame:
    """Measure each kernel: tower, kernel, its measures, in what it is selective; one row each.

    The kernels of a net with one tower are dealt to two at random, by its ``seed``.
    """
    every = np.concatenate(towers)
    if len(towers) == 2:
        tower = np.repeat([0, 1], [len(kernels) for kernels in towers])
    else:
        tower = np.random.Generator(np.random.Philox(seed)).permutation(np.arange(len(every)) % 2)
    frame = pd.DataFrame({"tower": tower, "kernel": np.arange(len(every))})
    chosen = analysis.selective(every)
    return pd.concat([frame, analysis.measure(every)], axis=1).assign(
        **dict(zip(SELECTIVE, chosen, strict=True))
    )


def _columns(table: pd.DataFrame) -> dict[str, list[object]]:
    """Return the columns as JSON keeps them: a kernel of zeros has no measures (None)."""
    return table.astype(object).where(table.notna(), None).to_dict("list")
