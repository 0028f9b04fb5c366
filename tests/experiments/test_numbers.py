"""No number of ours is typed into prose: what looks like a result in a chapter must be in the
data that describe the paper.

A number looks like a result if it has a decimal point, a per cent sign or three digits and more, or
a unit of measured things behind it. It is allowed if the paper or its source says it, which is if
it is in ``claims.toml``, ``tables.toml`` or ``deviations.toml``; or if it is a section of the
paper or a year. Code, citations, links and the output of the directives are not prose."""

import re
from pathlib import Path

import nbformat
import pytest

from replication.base import paths
from replication.paper import HERE, claims, tables
from replication.paper.deviations import deviations

NUMBER = re.compile(r"(?<![\w.#-])\d+(?:,\d{3})*(?:\.\d+)?%?(?![\w]*[a-zA-Z_])")
UNIT = re.compile(
    r"\s+(?:per cent|percentage points|points|hours|minutes|seconds|images a"
    r" second|images/s|milliseconds|ms)\b"
)
NOT_PROSE = (
    # written by a command, and compared with what it writes by another test
    re.compile(r"<!-- \w+: begin.*?<!-- \w+: end -->", re.S),
    re.compile(r"^(`{3,}).*?^\1`*\s*$", re.S | re.M),  # fences: code and directives
    re.compile(r"<math.*?</math>", re.S),
    re.compile(r"<[^>]+>"),
    re.compile(r"\{\w+\}`[^`]*`"),  # roles
    re.compile(r"`[^`]*`"),
    re.compile(r"\]\([^)]*\)"),
)
FACTS = {
    "3.11": "the oldest Python",
    "95%": "every interval",
    "22,000": "categories of ImageNet, section 1",
    "192": "maps below conv4's and conv5's kernels, section 3.5",
    "580": "the paper's GPUs, GTX 580",
    "0.004": "weight decay of the released CIFAR-10 nets",
    "130": "exit status of an interrupted run",
    "200": "classes of Tiny ImageNet",
    "520": "epochs of the released nets of section 3.3",
    "1126": "first line of dropout in the 2012 source",
    "1153": "its last line",
    "140": "characters in a line",
    "350": "lines in a file",
    "077": "a umask",
    "500": "width of the photograph of an exercise, pixels",
    "375": "its height",
    "152": "layers of the residual nets of 2015",
    "8192": "hidden units under dropout, section 4.2: twice 4096",
    "40%": "a target error of an exercise",
}


def prose(text: str) -> str:
    for pattern in NOT_PROSE:
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    return text


def results_in(text: str) -> list[str]:
    """The numbers of a text that look like results."""
    found = []
    for match in NUMBER.finditer(text):
        number = match[0]
        if re.search(r"[.%]|\d{3}|,", number) or UNIT.match(text, match.end()):
            found.append(number)
    return found


def plain(number: str) -> float:
    return float(number.rstrip("%").replace(",", ""))


def known() -> set[float]:
    """Every number that the paper or its source says."""
    text = "\n".join(
        (HERE / name).read_text(encoding="utf-8")
        for name in ("claims.toml", "tables.toml", "deviations.toml")
    )
    # ranges and lines of files
    text = "\n".join(
        line for line in text.splitlines() if not line.startswith(("low =", "high =", "file ="))
    )
    numbers = {plain(number) for number in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", text)}
    sections = {part for claim in claims() for part in re.findall(r"\d\.\d", claim.section)}
    years = {float(year) for year in range(1980, 2031)}
    return (
        numbers | {float(section) for section in sections} | years | {plain(fact) for fact in FACTS}
    )


def unknown(text: str) -> list[str]:
    allowed = known()
    return [number for number in results_in(prose(text)) if plain(number) not in allowed]


@pytest.mark.parametrize(
    "page",
    sorted(paths.BOOK.rglob("*.md")),
    ids=lambda page: page.relative_to(paths.BOOK).as_posix(),
)
def test_no_result_is_typed_into_a_chapter(page: Path) -> None:
    assert unknown(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "page", sorted(paths.NOTEBOOKS.glob("*.ipynb")), ids=lambda page: page.stem
)
def test_no_result_is_typed_into_the_prose_of_a_notebook(page: Path) -> None:
    cells = nbformat.read(page, as_version=4).cells
    assert unknown("\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")) == []


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_no_result_is_typed_into_the_readme(name: str) -> None:
    assert unknown((paths.ROOT / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "text",
    [
        "The error is 43.71% here.",
        "ReLU was 3.37 times as fast.",
        "It trained 17,321 images.",
        "It took 41 minutes.",
        "a gain of 29 points",
    ],
)
def test_a_typed_result_is_found(text: str) -> None:
    assert unknown(text)


def test_facts_of_the_paper_code_and_small_counts_are_not_taken_for_results() -> None:
    text = (
        "In section 3.3 the error of 37.5% in 2012, 5 x 5 kernels, `rate 0.123`.\n\n```python\nx ="
        " 0.987\n```\n"
    )
    assert unknown(text) == []


def test_the_numbers_of_the_paper_are_read_from_its_data() -> None:
    assert {number.value for number in tables().number} <= known()
    assert {8.0, 60_965_224.0} <= known() and deviations()
