"""The paper's sentences, each with the code that does it (``index.toml``).

An entry quotes a few words of the paper, as one would search for them, and names the symbols that
implement the sentence, the tests that protect it and the claims that measure it."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from replication.base.errors import InputError
from replication.base.models import Frozen
from replication.base.paths import ROOT
from replication.paper.entries import HERE, read_entries


class Sentence(Frozen):
    """One sentence of the paper."""

    id: str
    section: str = Field(pattern=r"^(abstract|\d+(\.\d+)*)$")
    words: str  # quoted from the paper
    symbols: tuple[str, ...] = Field(min_length=1)  # "replication.nets.dropout.Dropout"
    tests: tuple[str, ...] = ()  # "tests/nets/test_alexnet.py::test_name"
    claims: tuple[str, ...] = ()  # ids of claims.toml
    also: str = ""  # other words under which a reader may look for it


class Place(NamedTuple):
    """Where a symbol is defined."""

    symbol: str
    file: Path  # from the root of the project
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@cache
def sentences() -> tuple[Sentence, ...]:
    """Return every entry, in the paper's order. Raises InputError for a damaged file."""
    return read_entries(HERE / "index.toml", "sentence", Sentence)


def find(words: str) -> list[Sentence]:
    """Return the sentences in which all of ``words`` begin a word.

    A section's number returns the sentences of that section. Case and punctuation do not matter.
    Raises InputError if no sentence is found.
    """
    wanted = _parts(words)
    matching = [one for one in sentences() if _matches(wanted, one)]
    if not wanted or not matching:
        raise InputError(
            f"no sentence of the paper's index has {words!r}; try one word of it, for instance"
            " dropout, or a section such as 4.1"
        )
    return matching


def _matches(wanted: list[str], sentence: Sentence) -> bool:
    if wanted == [sentence.section]:
        return True
    names = [symbol.rpartition(".")[2].replace("_", " ") for symbol in sentence.symbols]
    has = _parts(" ".join([sentence.words, sentence.also, sentence.id, *names]))
    return all(any(word.startswith(part) for word in has) for part in wanted)


def _parts(text: str) -> list[str]:
    return re.findall(r"\d+(?:\.\d+)+|\w+", text.lower())


def place(symbol: str) -> Place:
    """Return where ``symbol`` is defined, from its file's text, so that nothing is imported.

    Raises InputError if it is not there."""
    parts = symbol.split(".")
    for length in range(len(parts) - 1, 0, -1):
        base = ROOT.joinpath(*parts[:length])
        file = next(
            (one for one in (base.with_suffix(".py"), base / "__init__.py") if one.is_file()), None
        )
        if file is None:
            continue
        line = _line(ast.parse(file.read_text(encoding="utf-8")).body, parts[length:])
        if line is not None:
            return Place(symbol, file.relative_to(ROOT), line)
    raise InputError(f"index.toml: {symbol} is not defined; correct the entry")


def _line(body: list[ast.stmt], names: list[str]) -> int | None:
    """Return the line of a definition or assignment, and of a member inside a class."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined = [node.name]
        elif isinstance(node, ast.Assign):
            every = (name for target in node.targets for name in ast.walk(target))
            defined = [name.id for name in every if isinstance(name, ast.Name)]
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            defined = [node.target.id]
        else:
            continue
        if names[0] in defined:
            if len(names) == 1:
                return node.lineno
            return _line(node.body, names[1:]) if isinstance(node, ast.ClassDef) else None
    return None
