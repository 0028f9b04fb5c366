"""The results at a glance: for README (``replication claims --readme``) and the book's front page.

Every word about a result is read from the ledger. The README's block is between two markers; a test
compares it with the ledger."""

import html
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from replication.base import paths
from replication.base.errors import InputError
from replication.base.files import read_json, write_text
from replication.base.text import counted
from replication.base.types import PROFILES
from replication.book.current import rows
from replication.book.findings import ours_text
from replication.book.links import PAGES
from replication.book.pages import runs as provenance
from replication.book.plates import KINDS, committed_figures
from replication.ledger.chips import CHIPS, STYLE, chip
from replication.ledger.text import images_text
from replication.ledger.units import shown_unit, with_unit
from replication.ledger.verdicts import VERDICTS, Row, counts

HEADLINES = (
    "params",
    "relu-tanh",
    "two-gpu-gain",
    "lrn-gain",
    "cifar-error",
    "cifar-without",
    "lrn-cifar",
    "overlap-gain",
    "ten-views",
    "dropout-overfit",
    "weight-decay",
    "table2-5cnn",
    "table2-1cnn-pre",
    "specialise",
    "depth",
)
# what a reader calls a variant whose name is that of a run or of a parameter
VARIANTS = {
    "source2012": "started as in 2012",
    "with norms": "11% net",
    "norms removed": "11% net without its normalisations",
    "as released, in two parts": "13% net in its author's two parts",
    "mean of the middle layers": "mean of four nets, each without one",
}
README = paths.ROOT / "README.md"
README_FIGURES = paths.BOOK / "_static" / "readme"
PICTURES = (("relu_vs_tanh", "curves"), ("architecture", "figure2"))  # results page, figure
BEGIN, END = "<!-- results: begin (replication claims --readme) -->", "<!-- results: end -->"


def headline_rows() -> list[Row]:
    """Return the ledger's rows that README and the front page show."""
    return [rows()[name] for name in HEADLINES]


def named(row: Row) -> str:
    """Return our number with the name of what was measured, if the claim has several."""
    variant = _variant(row)
    return f"{_judged(row)}, {variant}" if variant else _judged(row)


def _variant(row: Row) -> str:
    variant = row.ours.variant if row.ours is not None else ""
    return VARIANTS.get(variant, variant)


def _judged(row: Row) -> str:
    """Return our number; beside its interval that over images too, if that one decides."""
    images, text = images_text(row.ours, "{} to {}"), ours_text(row.ours)
    return f"{text[:-1]}; {images})" if images else text


def paper_text(row: Row) -> str:
    """Return the paper's number; with its gain, if a gain is what was measured here."""
    if row.ours is None or not row.ours.variant.startswith("gain"):
        return row.paper
    target = row.ours.target
    if target.value is None:
        return row.paper
    factor, unit = shown_unit(target.unit, target)
    return f"{row.paper}; {row.ours.variant}: {with_unit(f'{factor * target.value:g}', unit)}"


def scale_text(row: Row) -> str:
    """Return the profile at which a row was measured; "exact" for arithmetic."""
    if row.ours is None:
        return ""
    return "exact" if row.kind in "AS" else row.ours.profile


def block() -> str:
    """Return README's block of results as Markdown, between its markers."""
    every = list(rows().values())
    lines = [
        BEGIN,
        "",
        f"{_counts(every)}. Some of them:",
        "",
        "| the paper says | paper | ours (95% interval, seeds) | scale | verdict |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.claim} | {paper_text(row)} | {named(row)} | {scale_text(row)} | {row.verdict} |"
        for row in headline_rows()
    ]
    lines += [
        "",
        "What each experiment cost, and its outcome:",
        "",
        "| command | cost | outcome |",
        "|---|---|---|",
    ]
    lines += [f"| `{command}` | {took} | {gave} |" for command, took, gave in costs()]
    return "\n".join([*lines, "", END])


def costs() -> list[tuple[str, str, str]]:
    """Return commands, what they took by their provenance, and what they gave.

    First the project's own two, if they were timed; then each published experiment with stored
    runs, with the verdicts that rest on its measurements at that profile."""
    found = _timed()
    runs = provenance.table(provenance.stored_runs("laptop"))
    for (profile, experiment), group in runs.groupby(["profile", "experiment"], sort=False):
        hours = group["seconds"].groupby(group["device"].map(_device)).sum() / 3600
        spent = "; ".join(f"{of:.1f} hours of training, {device}" for device, of in hours.items())
        took = f"{counted(len(group), 'run')}, {spent}"
        given = Counter(
            row.verdict
            for row in rows().values()
            if row.experiment == experiment and row.ours is not None and row.ours.profile == profile
        )
        gave = ", ".join(
            f"{given[word]} *{word}*" for word in VERDICTS if given[word] and word != "not run"
        )
        command = f"replication run {experiment} --profile {profile}"
        found.append((command, took, gave or _overtaken(experiment, profile)))
    return found


def _overtaken(experiment: str, profile: str) -> str:
    """Return why an experiment's runs at ``profile`` have no verdict."""
    larger = {
        row.ours.profile
        for row in rows().values()
        if row.experiment == experiment
        and row.ours is not None
        and PROFILES.index(row.ours.profile) > PROFILES.index(profile)
    }
    return (
        f"superseded by the runs at {' and '.join(sorted(larger))}" if larger else "no verdict yet"
    )


def times_file() -> Path:
    """Return where ``scripts/times.py`` stores what the project's own commands took."""
    return paths.ROOT / "results" / "times.json"


def _timed() -> list[tuple[str, str, str]]:
    """Return what ``scripts/times.py`` measured; nothing if it has not been run."""
    file = times_file()
    if not file.is_file():
        return []
    times = read_json(file)
    cpus = counted(times["cpus"], "CPU")
    machine = f"{cpus} ({times['processor']}), {times['finished'][:10]}"
    gave = {
        "make reproduce": "every page at quick, and the book",
        "make test": "all tests passed",
    }
    return [
        (command, f"{seconds / 60:.1f} minutes, {machine}", gave[command])
        for command, seconds in times["seconds"].items()
    ]


def _device(text: str) -> str:
    """Return "CPU", or a GPU's name, of a provenance's device: "cpu", "cuda, NVIDIA H100"."""
    return "CPU" if text.startswith("cpu") else text.partition(", ")[2] or text


def _counts(every: Sequence[Row]) -> str:
    found = ", ".join(f"{count} *{word}*" for word, count in counts(list(every)).items() if count)
    return f"{len(every)} claims: {found}"


def pictures() -> dict[Path, bytes]:
    """Return README's figures, which are those of committed results pages, by their files."""
    found = {}
    for page, name in PICTURES:
        figure = committed_figures(paths.BOOK / "experiments" / f"{page}.ipynb")[name]
        suffix = KINDS[figure.kind]
        found[README_FIGURES / f"{page}-{name}.{suffix}"] = figure.content
    return found


def update_readme() -> bool:
    """Write today's block and figures of README.md; return whether that changed anything.

    Raises InputError if the markers are missing, or if the results are not the clone's."""
    if not paths.are_published():
        raise InputError(
            f"{README} shows the results in {paths.published()}, and REPLICATION_RESULTS names"
            f" {paths.results()}: unset it"
        )
    text = README.read_text(encoding="utf-8")
    pattern = re.escape(BEGIN) + ".*?" + re.escape(END)
    if not re.search(pattern, text, flags=re.DOTALL):
        raise InputError(f"{README} has no block between {BEGIN} and {END}; add the two lines")
    new = re.sub(pattern, lambda _: block(), text, flags=re.DOTALL)
    changed = new != text
    if changed:
        write_text(README, new)
    for file, content in pictures().items():
        if not file.is_file() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            changed = True
    return changed


def bar_html() -> str:
    """Return the counts by verdict as one bar with a legend, as HTML."""
    number = counts(list(rows().values()))
    shown = [(word, number[word]) for word in VERDICTS if number[word]]
    parts = "".join(
        f'<span style="flex:{count};background:{CHIPS[word][1]}">{count}</span>'
        for word, count in shown
    )
    legend = "".join(f"<li>{chip(word)} {count}</li>" for word, count in shown)
    label = html.escape(", ".join(f"{count} {word}" for word, count in shown))
    return (
        f"{STYLE}\n"
        f'<div class="verdict-bar" role="img" aria-label="{label}">{parts}</div>'
        f'<ul class="verdict-legend">{legend}</ul>'
    )


def table_html(up: str) -> str:
    """Return the headline claims as an HTML table; ``up`` leads to the book's root."""
    cells = "".join(
        f"<tr><td>{html.escape(row.claim)}</td>"
        f'<td data-label="paper">{html.escape(paper_text(row))}</td>'
        f'<td data-label="ours">{_ours(row)}</td><td>{_verdict(row, up)}</td></tr>\n'
        for row in headline_rows()
    )
    return (
        '<div class="wide"><table class="dataframe numbers headlines"><thead><tr>'
        "<th>the paper says</th><th>paper</th><th>ours</th><th>verdict</th></tr></thead>\n"
        f"<tbody>\n{cells}</tbody></table></div>"
    )


def _ours(row: Row) -> str:
    number, _, interval = _judged(row).partition(" (")
    if not interval:
        return html.escape(number)
    variant = _variant(row)
    below = html.escape(f"{interval[:-1]}; {variant}" if variant else interval[:-1])
    below = below.replace(" = ", "&nbsp;=&nbsp;")  # the number of seeds stays with its sign
    return f'{html.escape(number)} <span class="interval">{below}</span>'


def _verdict(row: Row, up: str) -> str:
    scale = html.escape(scale_text(row))
    page = f'<a href="{up}{PAGES}{row.experiment}.html">{scale}</a>' if scale else ""
    return f'{chip(row.verdict)} <span class="interval">{page}</span>'
