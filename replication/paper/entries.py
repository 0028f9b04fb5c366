"""The reader of the TOML files that describe the paper."""

import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from replication.base.errors import InputError
from replication.base.models import Model, validated

HERE = Path(__file__).resolve().parent


def read_entries(path: Path, word: str, kind: type[Model]) -> tuple[Model, ...]:
    """Return every ``[[word]]`` of a TOML file, in its order.

    Raises InputError that names the entry at fault and why."""
    read = [
        validated(kind, f"{path.name}, {word} {entry.get('id', '?')}", entry)
        for entry in parse(path).get(word, [])
    ]
    twice = sorted(id for id, count in Counter(_id(one) for one in read).items() if count > 1)
    if twice:
        raise InputError(f"{path.name}: {word} {twice[0]} occurs twice; keep one")
    return tuple(read)


def _id(entry: BaseModel) -> str:
    return str(entry.model_dump(include={"id"})["id"])


def parse(path: Path) -> dict[str, Any]:
    """Return a TOML file as plain values. Raises InputError if it is not TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not TOML ({error}); correct it, or `git checkout` restores it"
        ) from error
