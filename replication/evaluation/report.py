"""The error table of one or more runs, their average, and each pair compared.

``replication evaluate`` prints it: train, validation and test error with intervals. Section 6
reports top-1 and top-5 error in this way, for one net and for averages of several.
"""

import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from replication.base import paths
from replication.base.errors import InputError, suggestion
from replication.base.statistics import Interval
from replication.data.pipelines.pipeline import check_views
from replication.evaluation.compare import Comparison, compare
from replication.evaluation.ensemble import average, tune
from replication.evaluation.metrics import TOPS, error_interval, tops
from replication.evaluation.predictions import Predictions
from replication.evaluation.probabilities import probabilities
from replication.recipe import Recipe, read_recipe
from replication.training.weights import load_weights, weights_path

RUN_ID = re.compile(r"[0-9a-f]{10}")
AVERAGE = "average"


class Row(NamedTuple):
    """One run, or the average of all, on one split."""

    run: str
    split: str
    images: int
    classes: int
    top1: Interval  # errors, fractions, with their Wilson intervals
    top5: Interval  # 0 with five classes or fewer


class Pair(NamedTuple):
    """Two runs on the same images."""

    first: str
    second: str
    split: str
    k: int  # 1 or 5
    comparison: Comparison


class Report(NamedTuple):
    views: int
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]
    weights: tuple[float, ...] | None  # of the runs in their average, sum 1; None for one run

    def dump(self) -> dict[str, Any]:
        """Return plain types for JSON."""
        rows = [
            row._asdict() | {"top1": row.top1._asdict(), "top5": row.top5._asdict()}
            for row in self.rows
        ]
        pairs = [
            {"first": p.first, "second": p.second, "split": p.split, "k": p.k}
            | p.comparison._asdict()
            for p in self.pairs
        ]
        return {
            "views": self.views,
            "rows": rows,
            "pairs": pairs,
            "weights": self.weights and list(self.weights),
        }

    def table(self) -> str:
        """Return lines for a terminal: one per row, then one per pair."""
        views = "one view" if self.views == 1 else f"{self.views} views"
        shown = tops(max(row.classes for row in self.rows))
        titles = ("run", "split", "images", *(f"top-{k} error, %" for k in shown))
        cells = [
            (row.run, row.split, f"{row.images:,}", _percent(row.top1), _percent(row.top5))
            for row in self.rows
        ]
        texts = _columns([titles, *(each[: len(titles)] for each in cells)])
        lines = [f"errors over {views}, with 95% Wilson intervals", *texts]
        if self.weights:
            lines.append(
                f"weights in the {AVERAGE}: "
                + ", ".join(f"{weight:.3f}" for weight in self.weights)
            )
        for pair in self.pairs:
            c = pair.comparison
            lines.append(
                f"{pair.split}, top-{pair.k}: {pair.first} minus {pair.second}"
                f" {100 * c.difference:+.2f} points [{100 * c.low:+.2f}, {100 * c.high:+.2f}];"
                f" wrong alone {c.first_only:,} and {c.second_only:,}, McNemar p = {c.p_value:.2g}"
            )
        return "\n".join(lines)


def find(run: str, profile: str = "quick") -> Recipe:
    """Return the recipe that ``run`` names.

    ``run``: an id, a folder under ``results/``, or a named recipe. Raises
    InputError that says what would be accepted.
    """
    if RUN_ID.fullmatch(run):
        path = weights_path(run)
        return load_weights(path).recipe
    folder = paths.named(run)
    if folder.is_dir():
        return _stored(folder / "recipe.json")
    from replication.recipes import NAMES, named

    if run not in NAMES:
        hint = suggestion(run, NAMES)
        raise InputError(
            f"no run {run!r}: {hint}{'N' if hint else 'n'}ame a run's id (ten hex digits), its"
            f" folder under {paths.results()}, or a recipe: {', '.join(NAMES)}"
        )
    return named(run, profile)


def named_runs(runs: Sequence[str], profile: str = "quick") -> dict[str, Recipe]:
    """Return the recipes of several ``runs`` by the names that the table gives them.

    Raises InputError for a run that is named twice.
    """
    found: dict[str, Recipe] = {}
    for run in runs:
        recipe = find(run, profile)
        if recipe in found.values():
            raise InputError(f"the run {recipe.id} is named twice ({run}): name each once")
        found[Path(run).name if Path(run).is_dir() else run] = recipe
    return found


def evaluate(
    runs: dict[str, Recipe],
    splits: Sequence[str],
    views: int = 1,
    weights: str = "equal",
    device: str | None = None,
) -> Report:
    """Return the errors of each run and of their average, and each pair's difference.

    ``weights``: "equal", or "tuned": those that lower the top-5 error of the average on the runs'
    validation images. Raises InputError if one of ``splits`` is then that split: an error is never
    reported on the images that weights were chosen on.
    """
    check_views(views)
    if weights not in ("equal", "tuned"):
        raise InputError(f"no weights {weights!r}: use equal or tuned")
    chosen = None if len(runs) == 1 else (1 / len(runs),) * len(runs)
    if weights == "tuned":
        if len(runs) == 1:
            raise InputError("one run has no weights to tune: name two or more")
        if "validation" in splits:
            raise InputError(
                "weights tuned on the validation images cannot be judged on them: use --split test"
                " or train"
            )
        chosen = tuple(
            tune(
                [probabilities(recipe, "validation", views, device) for recipe in runs.values()]
            ).tolist()
        )
    rows, pairs = [], []
    for split in splits:
        answers = {
            name: probabilities(recipe, split, views, device) for name, recipe in runs.items()
        }
        rows += [_row(name, one) for name, one in answers.items()]
        if chosen:
            rows.append(_row(AVERAGE, average(list(answers.values()), chosen)))
        for (first, a), (second, b) in itertools.combinations(answers.items(), 2):
            pairs += [Pair(first, second, split, k, compare(a, b, k)) for k in tops(len(a.classes))]
    return Report(views, tuple(rows), tuple(pairs), chosen)


def splits_of(split: str, recipes: Sequence[Recipe]) -> list[str]:
    """Return ``split``, or for "all" every split that all of ``recipes`` have."""
    if split != "all":
        return [split]
    return [
        "train",
        *(["validation"] if all(recipe.data.validation for recipe in recipes) else []),
        "test",
    ]


def _row(name: str, predictions: Predictions) -> Row:
    return Row(
        name,
        predictions.split,
        len(predictions.ids),
        len(predictions.classes),
        *(error_interval(predictions, k) for k in TOPS),
    )


def _stored(path: Path) -> Recipe:
    if not path.is_file():
        raise InputError(
            f"{path} is missing: name a run's folder,"
            f" {paths.results()}/<profile>/<experiment>/<name>-<id>"
        )
    return read_recipe(path)


def _percent(error: Interval) -> str:
    mean, *ends = (f"{100 * value:.2f}" for value in error if value is not None)
    return f"{mean} [{', '.join(ends)}]" if ends else mean


def _columns(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
