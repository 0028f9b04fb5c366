"""Seals: hashes by which a change of published results or pages is noticed.

Three kinds of file, all in the format of ``sha256sum``, which can check them too:

- ``results/<profile>/<experiment>/SHA256SUMS``: every result file of an experiment. ``replication
  run`` writes it after it has executed the experiment's notebook.
- ``SHA256SUMS`` in a run's folder: its files, as written by the process that trained the run, or
  added an evaluation to it later. A command that was interrupted leaves such runs; the next one
  accepts them.
- ``results/SHA256SUMS``: the seals of all published experiments, and their pages. So a folder that
  is removed as a whole is noticed, too.

A page holds the hash of each experiment's results that it shows (``metadata.replication.results``).
A deliberate change is sealed by ``replication reseal --because "..."``, which adds a line to
``results/SEALS.log``."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from replication.base import paths
from replication.base.errors import InputError, check
from replication.base.files import sha256, write_atomic, write_text
from replication.base.locks import held
from replication.base.pages import notes_of, page_notes, read_page
from replication.base.types import PUBLISHED

FILE = "SHA256SUMS"
LOG = "SEALS.log"
PAGE = ".ipynb"
LOCK = "seals.lock"  # in the runs folder
SEALED = (".json", ".jsonl", ".csv", ".npz", ".npy", ".png", ".svg")
LINE = re.compile(r"([0-9a-f]{64})  (.+)")  # of a seal
BEFORE = ".before"  # in an experiment's folder, while its notebook is executed
SHOWN = 3  # differences named in one line
# what ``add`` may put into a run after its training
ADDITIONS = ("evaluation.json", "per_image.json", "probabilities.npz")


def text(folder: Path) -> str:
    """Return the seal of the result files under ``folder`` as they are now."""
    return "".join(f"{digest}  {name}\n" for name, digest in _digests(folder).items())


def digest(folder: Path) -> str:
    """Return one hash over all result files under ``folder`` as they are now."""
    return hashlib.sha256(text(folder).encode()).hexdigest()


def seal(folder: Path) -> None:
    """Write the seal of ``folder``."""
    write_text(folder / FILE, text(folder))


def add(run: Path, contents: Mapping[str, bytes]) -> None:
    """Write files into a run's folder, by name and in their order, and seal the run.

    The seal comes first and lists each file as it is and as it will be. So regardless of when this
    is interrupted, every file is one that the seal lists. The oldest runs have none until then."""
    check(set(contents) <= set(ADDITIONS), f"{', '.join(contents)}: not all are in ADDITIONS")
    coming = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    lines = (f"{digest}  {name}\n" for name, digest in coming.items())
    write_text(run / FILE, text(run) + "".join(lines))
    for name, content in contents.items():
        write_atomic(run / name, lambda file, content=content: file.write(content))
    seal(run)


def faults(folder: Path) -> list[str]:
    """Return what is not as it was sealed, one phrase each: changed, missing or added files.

    Or lines of the seal itself that are no hash and name, such as git's marks of a conflict."""
    if not (folder / FILE).is_file():
        return [f"{folder / FILE} is missing"]
    sealed, present = _read(folder / FILE), _digests(folder)
    return [
        *_damage(folder / FILE),
        *(
            f"{name} was changed"
            for name in sealed
            if name in present and present[name] != sealed[name]
        ),
        *(f"{name} is missing" for name in sealed if name not in present),
        *(f"{name} was added" for name in present if name not in sealed),
    ]


def check_unchanged(folder: Path) -> None:
    """Raise InputError if a sealed folder was changed by anything but an interrupted command.

    The seals of the runs list what such a command has trained, or added to a run."""
    if not (folder / FILE).is_file():
        return
    differences = [fault for fault in faults(folder) if not _left_by_a_command(folder, fault)]
    if differences:
        raise InputError(
            f"{folder}: {one_line(differences)} since it was sealed; restore it with `git checkout"
            f' {folder}`, or accept it with `replication reseal --because "..."`'
        )


def published_faults() -> list[str]:
    """Return all differences between the published results and pages and their seals."""
    root = paths.results()
    if not (root / FILE).is_file():
        return [f"{_short(root / FILE)} is missing"] if paths.are_published() else []
    listed = _read(root / FILE)
    differences = [f"results/{fault}" for fault in _damage(root / FILE)]
    pages, copied = published_pages(), not paths.are_published()
    for name, sealed in listed.items():
        path = Path(os.path.normpath(root / name))
        if path.suffix == PAGE and copied:  # its pages are elsewhere, or nowhere
            path = paths.pages() / path.name
            if not pages:
                continue
        if not path.is_file():
            differences.append(f"{_short(path)} is missing")
        elif sha256(path) != sealed:
            differences.append(f"{_short(path)} was changed")
    for folder in published_folders():
        key = (folder / FILE).relative_to(root).as_posix()
        if key not in listed:
            differences.append(f"{_short(folder)} is not in the list of published results")
        elif (folder / FILE).is_file():
            differences += [f"{_short(folder)}/{fault}" for fault in faults(folder)]
    for page in pages:
        name = os.path.relpath(page, root)
        if name not in listed and not (copied and page.name in map(os.path.basename, listed)):
            differences.append(f"{_short(page)} is not in the list of published pages")
        differences += page_faults(page)
    return differences


def page_faults(page: Path) -> list[str]:
    """Return which results have changed since ``page`` was executed from them."""
    notes = page_notes(page)
    shown = notes.get("results", {})
    changed = [
        name for name, value in sorted(shown.items()) if digest(paths.results() / name) != value
    ]
    if not changed:
        return []
    again = f"replication run {page.stem} --profile {notes.get('profile', 'laptop')}"
    return [f"{_short(page)} shows an earlier version of {', '.join(changed)} (run `{again}`)"]


def published_folders() -> list[Path]:
    """Return the folders of all published experiments that hold results."""
    return [
        folder
        for profile in PUBLISHED
        for folder in sorted((paths.results() / profile).glob("*"))
        if folder.is_dir() and _files(folder)
    ]


def published_pages() -> list[Path]:
    """Return the executed notebooks of the book that belong to these results."""
    if not paths.are_published() and not os.environ.get("REPLICATION_PAGES"):
        return []
    return sorted(paths.pages().glob(f"*{PAGE}"))


def shown_results(folder: Path) -> dict[str, str]:
    """Return the hashes of what the page of ``folder`` shows, by ``<profile>/<experiment>``.

    A page without results of its own, such as the ledger's, shows those of all experiments."""
    root, profile = paths.results(), folder.parent.name
    if _files(folder):
        return {folder.relative_to(root).as_posix(): digest(folder)}
    if profile not in PUBLISHED:
        folders = [path for path in sorted((root / profile).glob("*")) if _files(path)]
    else:
        folders = published_folders()
    return {folder.relative_to(root).as_posix(): digest(folder) for folder in folders}


def list_published(changed: Iterable[Path]) -> None:
    """Bring the entries of ``changed`` (seals and pages) in ``results/SHA256SUMS`` up to date."""
    root = paths.results()
    with held(paths.runs() / LOCK):  # experiments that end together
        listed = _listed()
        for path in changed:
            name = os.path.relpath(path, root)
            if path.is_file():
                # the list of a copy may name the page elsewhere
                if path.suffix == PAGE and not paths.are_published():
                    listed = {one: of for one, of in listed.items() if Path(one).name != path.name}
                listed[name] = sha256(path)
            else:
                listed.pop(name, None)
        write_text(root / FILE, "".join(f"{listed[name]}  {name}\n" for name in sorted(listed)))


def reseal(because: str) -> list[str]:
    """Accept all results and pages as they are now, and log ``because``; return what differed.

    The pages that show older results are named with the command that executes them. Nothing is
    written if nothing differs."""
    if not because.strip():
        raise InputError('say why: replication reseal --because "..."')
    root = paths.results()
    if not (differences := published_faults()):
        return []
    for page in published_pages():  # all are whole before the first is written
        read_page(page)
    for folder in published_folders():
        if (folder / BEFORE).is_dir():
            raise InputError(
                f"{folder.relative_to(root)}: its notebook is executed now, or its execution was"
                " killed; wait for it, or execute it again, and then reseal"
            )
    for folder in published_folders():
        if faults(folder):
            seal(folder)
    older = [page for page in published_pages() if _renew(page)]
    present = [*(folder / FILE for folder in published_folders()), *published_pages()]
    list_published([*present, *(root / name for name in _listed())])  # those that are gone, too
    log = root / LOG
    now = datetime.now(UTC).isoformat(timespec="seconds")
    words = " ".join(because.split())
    with held(paths.runs() / LOCK):
        before = log.read_text(encoding="utf-8") if log.is_file() else ""
        write_text(log, f"{before}{now}  {words}  ({one_line(differences)})\n")
    return differences + [
        f"{page.parent.name}/{page.name} was accepted and still shows the earlier results;"
        f" `replication run {page.stem} --profile {page_notes(page)['profile']} --force` executes"
        " it"
        for page in older
    ]


def one_line(differences: list[str]) -> str:
    """Return the first differences and the number of the others, for one line."""
    shown = "; ".join(differences[:SHOWN])
    more = len(differences) - SHOWN
    return shown if more <= 0 else f"{shown}; and {more} more"


def _renew(page: Path) -> bool:
    """Let a page hold the hashes of the results as they are now; return whether they differ."""
    document = read_page(page)
    notes = notes_of(document)
    profile = notes.get("profile")
    if profile not in PUBLISHED:
        return False
    now = shown_results(paths.results() / profile / page.stem)
    if notes.get("results") == now:
        return False
    notes["results"] = now
    write_text(page, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return True


def _left_by_a_command(folder: Path, fault: str) -> bool:
    """Return whether the file of a fault is a run's, and its content is in that run's seal."""
    name, _, what = fault.rpartition(" was ")
    run, _, file = name.partition("/")
    if what != "added" and not (what == "changed" and file in ADDITIONS):
        return False
    run_seal = folder / run / FILE
    return run_seal.is_file() and f"{sha256(folder / name)}  {file}" in _lines(run_seal)


def _listed() -> dict[str, str]:
    """Return the list of all that is published, {} if there is none."""
    path = paths.results() / FILE
    return _read(path) if path.is_file() else {}


def _read(path: Path) -> dict[str, str]:
    """Return the hashes in a seal by file name; lines that are none are left out."""
    return {match[2]: match[1] for line in _lines(path) if (match := LINE.fullmatch(line))}


def _damage(path: Path) -> list[str]:
    """Return one phrase if a seal has lines that are no hash and name."""
    odd = [n for n, line in enumerate(_lines(path), 1) if line and not LINE.fullmatch(line)]
    return [f"{FILE} is damaged in line {odd[0]}"] if odd else []


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").split("\n")


def _digests(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in _files(folder)}


def _files(folder: Path) -> list[Path]:
    """Return the result files under ``folder``."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix in SEALED and not _hidden(path.relative_to(folder))
    )


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _short(path: Path) -> str:
    for root, name in ((paths.results(), "results"), (paths.pages(), "book/experiments")):
        if path.is_relative_to(root):
            return f"{name}/{path.relative_to(root).as_posix()}"
    return str(path)
