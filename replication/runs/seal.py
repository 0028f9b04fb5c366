"""Sealed results: what a published experiment measured, with the hash of every file, so that a
digit edited by hand is noticed.

``results/<profile>/<experiment>/SHA256SUMS`` is written when the experiment's notebook has been
executed, in the format of ``sha256sum``, which can check it too: ``cd results/laptop/relu_vs_tanh
&& sha256sum --check SHA256SUMS``."""

import hashlib
from pathlib import Path

from replication.base.files import write_text

FILE = "SHA256SUMS"
SEALED = (".json", ".jsonl", ".csv", ".npz")


def seal(folder: Path) -> None:
    """Write the hashes of all result files under ``folder``."""
    write_text(
        folder / FILE, "".join(f"{digest}  {name}\n" for name, digest in _digests(folder).items())
    )


def faults(folder: Path) -> list[str]:
    """What is not as it was sealed, one phrase each: changed, missing or added files."""
    if not (folder / FILE).is_file():
        return [f"{folder / FILE} is missing"]
    lines = (folder / FILE).read_text(encoding="utf-8").splitlines()
    sealed = {name: digest for digest, name in (line.split("  ", 1) for line in lines)}
    found = _digests(folder)
    return [
        *(
            f"{name} was changed"
            for name in sealed
            if name in found and found[name] != sealed[name]
        ),
        *(f"{name} is missing" for name in sealed if name not in found),
        *(f"{name} was added" for name in found if name not in sealed),
    ]


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SEALED and not _hidden(path.relative_to(folder))
    )
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
