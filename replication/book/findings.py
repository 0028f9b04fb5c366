"""What was found, for prose: numbers read from the results, and text that knows what they show.

Roles: ``{ours}`relu-tanh`` is our number with its interval,
``{ours}`relu-tanh/modern`` that of another variant, ``{paper}`relu-tanh`` the paper's,
``{verdict}`relu-tanh`` the verdict.

``{finding} relu-tanh = agrees; lrn-cifar = open or small`` holds prose that was written for these
outcomes: the interval is on the paper's side of no effect (``agrees``), on the other (``opposes``),
or includes it (``open``); besides, ``small`` if it excludes an effect of the paper's size at the
paper's own scale. Of an error itself: inside the paper's range (``agrees``) or not (``open``); of a
check, its verdict, or ``open``. The verdicts follow as a line of their own, since they ask for
more, such as a number of seeds, and with what was run, unless the finding before it has the same.
If an outcome is another one now, the prose is left out and the ledger's own lines take its place:
the book never says what the results do not show."""

from typing import Any

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from replication.book.current import note_results, rows
from replication.book.links import PAGES, up_to_root
from replication.book.roles import ResultRole
from replication.ledger import tables as ledger_tables
from replication.ledger import verdicts as ledger
from replication.ledger.measurement import Measurement
from replication.ledger.rules import excluded_side, is_small, judge
from replication.ledger.scale import brief
from replication.ledger.units import factor_and_unit, number, numbers, seeds_text, with_unit
from replication.paper import claim as find_claim

log = logging.getLogger(__name__)
OUTCOMES = ("agrees", "opposes", "open", "small", "holds", "contradicted", "not run")


def answer(name: str) -> tuple[ledger.Row, Measurement | None, str]:
    """Return the row, the measurement and the verdict of "ID" or "ID/VARIANT".

    Raises LookupError for an unknown claim or a variant that was not measured."""
    claim, _, variant = name.strip().partition("/")
    row = rows()[claim]
    if not variant or (row.ours is not None and row.ours.variant == variant):
        return row, row.ours, row.verdict
    for other in row.others:
        if other.ours.variant == variant:
            return row, other.ours, other.verdict
    raise LookupError(name)


def outcome(measurement: Measurement | None) -> str:
    """Return which of ``OUTCOMES`` a measurement is; it may be ``small`` besides."""
    if measurement is None or measurement.outdated:
        return "not run"
    if measurement.mean is None:
        words = {True: "holds", False: "contradicted", None: "open"}
        return words[measurement.holds]
    if measurement.null is None:
        verdict = judge(find_claim(measurement.claim), measurement)[0]
        return "agrees" if verdict == "reproduced" else "open"
    side = excluded_side(measurement)
    if side is None:
        return "open"
    return "agrees" if side == measurement.target.side else "opposes"


def ours_text(measurement: Measurement | None) -> str:
    """Return a measurement for a sentence: "6.06 times (5.77 to 6.37, n = 3)"."""
    if measurement is None:
        return "not measured"
    if measurement.mean is None:
        return ledger_tables.ours_text(measurement)
    factor, unit = factor_and_unit(measurement)
    prefix = {"lower": "at least ", "upper": "at most ", None: ""}[measurement.bound]
    mean, low, high = measurement.over_seeds
    middle = number(factor * mean)
    seeds = seeds_text(measurement)
    if low is not None and high is not None:
        middle, lower, upper = numbers(
            factor * mean, factor * low, factor * high, null=factor * (measurement.null or 0.0)
        )
        seeds = f"{lower} to {upper}, {seeds}"
    return f"{prefix}{with_unit(middle, unit)} ({seeds})"


class _Answer(ResultRole):
    """A role whose text names a claim, or a claim and a variant."""

    lacking = "no such claim, or no such variant was measured"

    def read(self) -> nodes.Node:
        note_results(self.env)
        return self.node(*answer(self.text))

    def node(self, row: ledger.Row, measurement: Measurement | None, verdict: str) -> nodes.Node:
        """Return the text for the sentence."""
        raise NotImplementedError


class Ours(_Answer):
    """``{ours}`ID[/VARIANT]``: our number."""

    def node(self, row: ledger.Row, measurement: Measurement | None, verdict: str) -> nodes.Node:
        return nodes.inline("", ours_text(measurement), classes=["ours"])


class Paper(_Answer):
    """``{paper}`ID``: the paper's number, as the ledger prints it; an arrow becomes "to"."""

    def node(self, row: ledger.Row, measurement: Measurement | None, verdict: str) -> nodes.Node:
        return nodes.inline("", row.paper.replace(" -> ", " to "), classes=["paper-value"])


class VerdictWord(_Answer):
    """``{verdict}`ID[/VARIANT]``: the verdict."""

    def node(self, row: ledger.Row, measurement: Measurement | None, verdict: str) -> nodes.Node:
        return nodes.emphasis("", verdict, classes=["verdict-word"])


def names_of(conditions: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the claims and outcomes of "ID[/VARIANT] = OUTCOME [or OUTCOME ...]; ...".

    Raises ValueError for a word that is no outcome, and for an unknown claim."""
    found = []
    for part in filter(None, (part.strip() for part in conditions.split(";"))):
        name, _, words = (text.strip() for text in part.partition("="))
        wanted = tuple(word.strip() for word in words.split(" or "))
        if not set(wanted) <= set(OUTCOMES):
            raise ValueError(f"{part!r}: write it as claim = one of {', '.join(OUTCOMES)}")
        if name.partition("/")[0] not in rows():
            raise ValueError(f"no claim {name}")
        found.append((name, wanted))
    return found


def measured(name: str) -> tuple[ledger.Row, Measurement | None, str]:
    """Return ``answer``, but without a measurement for a variant that was not measured."""
    try:
        return answer(name)
    except LookupError:
        return rows()[name.partition("/")[0]], None, "not run"


def stale(conditions: str) -> list[str]:
    """Return the claims of ``conditions`` whose outcome has changed. Raises ValueError."""
    return [name for name, wanted in names_of(conditions) if not outcomes(name) & set(wanted)]


def outcomes(name: str) -> set[str]:
    """Return the outcomes of "ID[/VARIANT]" now."""
    measurement = measured(name)[1]
    found = {outcome(measurement)}
    return found | {"small"} if measurement is not None and is_small(measurement) else found


class Finding(SphinxDirective):
    """``{finding} ID = OUTCOME; ...``: prose that holds while these are the outcomes.

    If they have changed, the ledger's lines take its place; with ``:quiet:`` nothing does."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec = {"quiet": directives.flag}

    def run(self) -> list[nodes.Node]:
        note_results(self.env)
        try:
            changed = stale(self.arguments[0])
        except ValueError as error:
            raise self.error(str(error)) from error
        if changed:
            log.info("%s: written for other outcomes of %s", self.env.docname, ", ".join(changed))
            return [] if "quiet" in self.options else [generated(self.arguments[0])]
        parent = nodes.container(classes=["finding"])
        self.state.nested_parse(self.content, self.content_offset, parent)
        line = verdict_line(self.arguments[0], up_to_root(self.env.docname))
        scale = scale_text(self.arguments[0])
        if scale and self.env.temp_data.get("scale of a finding") != scale:
            self.env.temp_data["scale of a finding"] = scale
            line += nodes.Text(f" {scale}")
        parent += line
        return [parent]


def verdict_line(conditions: str, up: str = "") -> nodes.paragraph:
    """Return the verdicts on the claims of ``conditions``, each with what it lacks.

    Claims with the same verdict are named together. Each name leads to the page that measures the
    claim; ``up`` leads to the book's root."""
    groups: dict[tuple[str, str], list[nodes.Node]] = {}
    for name, _ in names_of(conditions):
        row, measurement, verdict = measured(name)
        reason = ""
        if verdict == "inconclusive" and measurement is not None and _needs_reason(measurement):
            reason = f" ({judge(find_claim(row.id), measurement)[1].split(';')[0]})"
        text = nodes.literal("", name)
        if row.experiment in ledger_tables.chapters():
            page = f"{up}{PAGES}{row.experiment}.html"
            text = nodes.reference("", "", text, refuri=page, internal=True)
        groups.setdefault((verdict, reason), []).append(text)
    line = nodes.paragraph("", "", classes=["small", "verdicts"])
    for place, ((verdict, reason), names) in enumerate(groups.items()):
        line += nodes.Text("; " if place else "Verdict" + "s" * (len(groups) > 1) + " ")
        line += [nodes.emphasis("", verdict), nodes.Text(f"{reason}: ")]
        line += [one for name in names for one in (name, nodes.Text(", "))][:-1]
    line += nodes.Text(".")
    return line


def scale_text(conditions: str) -> str:
    """Return on what the claims of ``conditions`` were measured; "" if nothing was trained.

    A number of several nets, or of nets that were trained for different lengths, is left out: its
    scale in the ledger names them all."""
    groups: dict[str, list[str]] = {}
    for name, _ in names_of(conditions):
        measurement = measured(name)[1]
        if measurement is not None and measurement.ran and not _of_several(measurement):
            text = brief(measurement.ran, epochs="epoch" in measurement.scale)
            own = "" if measurement.shortfalls else "the paper's own, "
            groups.setdefault(f"{own}{text}", []).append(name)
    if len(groups) == 1:
        return f"Scale: {next(iter(groups))}."
    each = (f"{scale} ({', '.join(names)})" for scale, names in groups.items())
    return f"Scales: {'; '.join(each)}." if groups else ""


def _of_several(measurement: Measurement) -> bool:
    return measurement.comparisons > 1 or "; minus: " in measurement.scale


def _needs_reason(measurement: Measurement) -> bool:
    """Return whether "inconclusive" is not plain from the interval that the prose prints."""
    if measurement.mean is None:
        return False  # a count, which the prose explains
    _, low, high = measurement.over_seeds
    clear = (
        measurement.null is not None
        and low is not None
        and high is not None
        and not low <= measurement.null <= high
    )
    return clear or outcome(measurement) != "open" or is_small(measurement)


def generated(conditions: str) -> nodes.bullet_list:
    """Return one line per claim, for text that was written for other outcomes."""
    items = nodes.bullet_list(classes=["finding"])
    for name, _ in names_of(conditions):
        row, measurement, verdict = measured(name)
        ours = ours_text(measurement)
        text = f"{row.claim} Paper: {row.paper}. Here: {ours}. Verdict: {verdict}."
        items += nodes.list_item("", nodes.paragraph("", text))
    return items


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the roles and the directive."""
    app.add_role("ours", Ours())
    app.add_role("paper", Paper())
    app.add_role("verdict", VerdictWord())
    app.add_directive("finding", Finding)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
