"""Building the book with jupyter-book, strictly, with nothing that its source does not have."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from replication.base import paths
from replication.base.errors import InputError, NotebookError
from replication.base.files import write_text
from replication.base.locks import held
from replication.book import JUPYTER_BOOK
from replication.book.destination import target
from replication.book.headlines import times_file
from replication.book.links import PAGES
from replication.book.notebooks import experiments
from replication.book.site import REPOSITORY, SITE
from replication.ledger.measurement import FILE
from replication.runs import seal

CODE = ("*.py", "*.toml", "*.yaml")
MARK = ".made-from"  # of what, and into which files, the book was built
LOCK = "build.lock"  # in _build
# variables that the pages' links follow
SETTINGS = (REPOSITORY, SITE, "GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_SHA")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # which jupyter-book prints to a file too
QUIET = (".json", ".js", ".map")  # not compared: their content depends on the order of building


def build_book(profile: str | None = None, force: bool = False, output: Path | None = None) -> Path:
    """Build the book strictly (a warning is an error) and return its first page.

    It is built anew, into ``_build/html`` of the clone or of ``output``, if its source has changed
    or if a built page is missing or damaged. Its chapters quote the results of the clone, whose
    pages it shows, even if ``REPLICATION_RESULTS`` names another folder. ``profile="quick"`` adds
    the notebooks of your own quick run as a part of their own."""
    if profile not in (None, "quick"):
        raise InputError(
            f"book --profile {profile}: only quick is added to the book; the other profiles' pages"
            " are in book/experiments"
        )
    tool = _jupyter_book()
    root = (output or paths.ROOT) / "_build"
    try:
        with held(root / LOCK, wait=0):
            return _built_book(tool, root, _own_pages() if profile else [], force)
    except TimeoutError:
        raise InputError(
            f"another command builds the book in {root} now; wait for that one, or stop it"
        ) from None


def _built_book(tool: Path, root: Path, own: list[Path], force: bool) -> Path:
    html = root / "html"
    wanted = _wanted(own)
    if not force and _mark(html) == f"{wanted} {_built(html)}":
        return html / "index.html"
    for old in (html, root / ".doctrees", root / ".jupyter_cache"):
        shutil.rmtree(old, ignore_errors=True)
    stage = _stage(root / "stage", own)
    command = [str(tool), "build", str(stage), "--path-output", str(root.parent)]
    command += ["-W", "-n", "--keep-going"]
    done = subprocess.run(
        command,
        env=os.environ | {"REPLICATION_RESULTS": str(paths.published())},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode or not (html / "index.html").is_file():
        lines = [
            line.strip()
            for line in COLOUR.sub("", done.stdout + done.stderr).splitlines()
            if "WARNING" in line or "ERROR" in line or "Error" in line
        ]
        raise NotebookError(
            "the book was not built: "
            + (" | ".join(lines[:3]) or f"{' '.join(command)} ended with {done.returncode}")
        )
    write_text(html / MARK, f"{wanted} {_built(html)}")
    return html / "index.html"


def _jupyter_book() -> Path:
    """Return the command of this environment's jupyter-book, if it is version 1."""
    try:
        found = version("jupyter-book")
    except PackageNotFoundError:
        found = "not installed"
    tool = Path(sys.executable).with_name("jupyter-book")
    if found.split(".")[0] != JUPYTER_BOOK or not tool.is_file():
        raise InputError(
            f"the book needs jupyter-book 1, and here it is {found}: run `make setup`, or `pip"
            " install 'jupyter-book<2'` in this environment"
        )
    return tool


def _own_pages() -> list[Path]:
    """Return the executed notebooks of the user's quick run. Raises InputError if there is none."""
    pages = [target(name, "quick") for name in experiments()]
    found = [page for page in pages if page.is_file()]
    if not found:
        raise InputError(
            f"book --profile quick: no executed notebook is in {paths.results() / 'quick'}; run"
            " `replication run --profile quick` first"
        )
    return found


def _wanted(own: list[Path]) -> str:
    """Return a hash over all that the pages show: files, and settings of the site."""
    settings = "".join(f"{name}={os.environ.get(name, '')}\n" for name in SETTINGS)
    return hashlib.sha256((_digest(_sources(own)) + settings).encode()).hexdigest()


def _sources(own: list[Path]) -> list[Path]:
    package = Path(__file__).parents[1]
    quoted = [file for kind in CODE for file in package.rglob(kind)]
    root = paths.published()
    results = [*root.glob(f"*/*/{FILE}"), root / seal.FILE, times_file()]
    return [
        paths.ROOT / "_config.yml",
        *sorted(file for file in paths.BOOK.rglob("*") if file.is_file()),
        *own,
        *sorted(quoted),
        *sorted(file for file in results if file.is_file()),
    ]


def _mark(html: Path) -> str:
    mark = html / MARK
    return mark.read_text(encoding="utf-8") if mark.is_file() else ""


def _built(html: Path) -> str:
    """Return a hash over the built pages."""
    files = [path for path in html.rglob("*") if path.is_file() and path.name != MARK]
    return _digest(sorted(path for path in files if path.suffix not in QUIET))


def _stage(stage: Path, own: list[Path]) -> Path:
    """Return the book's source with ``own`` notebooks added as its last part, copied anew."""
    shutil.rmtree(stage, ignore_errors=True)
    # copyfile: the copies are writable, also those of a read-only clone
    shutil.copytree(
        paths.BOOK,
        stage,
        ignore=shutil.ignore_patterns("_build"),
        copy_function=shutil.copyfile,
    )
    for folder in (stage, *(path for path in stage.rglob("*") if path.is_dir())):
        folder.chmod(folder.stat().st_mode | 0o700)
    shutil.copyfile(paths.ROOT / "_config.yml", stage / "_config.yml")
    if own:
        toc = yaml.safe_load((stage / "_toc.yml").read_text(encoding="utf-8"))
        (stage / "quick").mkdir()
        for page in own:
            text = page.read_text(encoding="utf-8")
            write_text(stage / "quick" / page.name, _linked(text, {one.stem for one in own}))
        part = {
            "caption": "Your own run at the quick profile",
            "chapters": [{"file": f"quick/{page.stem}"} for page in own],
        }
        toc["parts"].append(part)
        (stage / "_toc.yml").write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    return stage


def _linked(text: str, here: set[str]) -> str:
    """Return a page of the quick run whose links to pages that were not run lead to published ones.

    ``here``: the experiments that were run."""

    def linked(found: re.Match[str]) -> str:
        return found[0] if found[1] in here else f"](../{PAGES}{found[1]}.ipynb"

    return re.sub(r"\]\((\w+)\.ipynb", linked, text)


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file}\0".encode(errors="surrogateescape") + file.read_bytes())
    return digest.hexdigest()
