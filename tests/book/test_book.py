"""The book: chapters whose checks are true, pages without noise, and the built book opened page by
page in a browser.

Building and browsing need no network. The browser is the system's Chromium; without it or
playwright the last tests are skipped."""

import doctest
import functools
import http.server
import io
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import numpy as np
import pytest
import yaml
from PIL import Image

from replication.base import paths
from replication.book import directives as chapters
from replication.book import findings
from replication.figures.drawings import PHONE
from replication.paper.deviations import deviations

CHAPTERS = sorted(paths.BOOK.rglob("*.md"))
NOTEBOOKS = [
    *sorted(paths.NOTEBOOKS.glob("*.ipynb")),
    *sorted((paths.BOOK / "experiments").glob("*.ipynb")),
]
CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    None,
)
WIDTHS = (390, 1280)  # a phone's and a laptop's, CSS pixels
LEFT = "net::ERR_ABORTED"  # the page was left before its icon had come
LATEX = re.compile(r"\\\(|\\\[|\$\$|\\begin\{|\\frac|\\alpha")


def name_of(path: Path) -> str:
    return path.relative_to(paths.ROOT).as_posix()


def contents() -> list[str]:
    """Every page of the table of contents."""
    toc = yaml.safe_load((paths.BOOK / "_toc.yml").read_text(encoding="utf-8"))
    return [
        toc["root"],
        *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"]),
    ]


# --- The sources ---


def test_the_table_of_contents_and_the_files_agree() -> None:
    files = {
        path.relative_to(paths.BOOK).with_suffix("").as_posix()
        for kind in ("*.md", "*.ipynb")
        for path in paths.BOOK.rglob(kind)
    }
    assert {file for file in files if not file.startswith("_build")} == set(contents())


@pytest.mark.parametrize(
    "page", [page for page in CHAPTERS if ">>>" in page.read_text(encoding="utf-8")], ids=name_of
)
def test_a_chapters_small_check_is_true(page: Path) -> None:
    blocks = re.findall(r"```pycon\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    assert blocks
    runner = doctest.DocTestRunner(verbose=False)
    test = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, page.stem, str(page), 0)
    assert runner.run(test).failed == 0


@pytest.mark.parametrize("page", NOTEBOOKS, ids=name_of)
def test_a_notebook_has_no_noise_and_its_figures_have_alternative_texts(page: Path) -> None:
    for cell in nbformat.read(page, as_version=4).cells:
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            assert output.output_type != "error", output.get("evalue")
            assert output.get("name") != "stderr", output.get("text")
            data = output.get("data", {})
            assert not any("widget" in kind for kind in data)
            if any(kind.startswith("image/") for kind in data):
                assert cell.metadata.get("mystnb", {}).get("image", {}).get("alt"), (
                    f"no alternative text: {cell.source[:80]}"
                )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("draw", "def draw("),
        ("Loader.epoch", "def epoch("),
        ("CHUNK", "CHUNK ="),
        ("SECOND", "FIRST, SECOND"),
        ("deco", "@cache"),
    ],
)
def test_code_is_found_by_name(name: str, said: str) -> None:
    text = (
        "CHUNK = 1\nFIRST, SECOND = 1, 2\ndef draw():\n    pass\nclass Loader:\n    def"
        " epoch(self):\n        pass\n"
    )
    text += "@cache\ndef deco():\n    pass\n"
    first, last = chapters.lines_of(text, name)
    assert said in "\n".join(text.splitlines()[first - 1 : last])


def test_code_that_is_gone_is_an_error() -> None:
    with pytest.raises(LookupError, match="Loader.gone"):
        chapters.lines_of("class Loader:\n    pass\n", "Loader.gone")


# --- The built book ---


class Page(HTMLParser):
    """Links, images, anchors and scripts of one page, and its text outside of code."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.anchors: set[str] = set()
        self.loaded: list[str] = []
        self.text: list[str] = []
        self._code = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])
        if tag == "img":
            self.images.append(values)
        if tag == "script" and values.get("src"):
            self.loaded.append(values["src"])
        if tag == "link" and values.get("rel") == "stylesheet":
            self.loaded.append(values["href"])
        self._code += tag in ("pre", "code", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in ("pre", "code", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.text.append(data)


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The book built strictly, as `make book` builds it, into a folder of its own."""
    place = tmp_path_factory.mktemp("book")
    tool = Path(sys.executable).with_name("jupyter-book")
    command = [
        str(tool),
        "build",
        str(paths.BOOK),
        "-W",
        "-n",
        "--keep-going",
        "--path-output",
        str(place),
    ]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    said = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if re.search("WARNING|ERROR|rror:", line)
    ]
    assert done.returncode == 0, "\n".join(said)
    return place / "_build" / "html"


@pytest.fixture(scope="module")
def pages(book: Path) -> dict[str, Page]:
    return {
        path.relative_to(book).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in book.rglob("*.html")
    }


def test_every_page_exists_and_loads_nothing_from_elsewhere(pages: dict[str, Page]) -> None:
    assert {f"{page}.html" for page in contents()} <= set(pages)
    away = {source for page in pages.values() for source in page.loaded if urlsplit(source).netloc}
    assert not away


def test_internal_links_and_images_resolve(book: Path, pages: dict[str, Page]) -> None:
    broken = []
    for name, page in pages.items():
        for target in [*page.links, *(image["src"] or "" for image in page.images)]:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            place = (book / name).parent / unquote(parts.path) if parts.path else book / name
            place = place.resolve()
            if not place.is_file():
                broken.append(f"{name}: {target}")
            elif parts.fragment and place.suffix == ".html":
                there = pages[place.relative_to(book.resolve()).as_posix()]
                if unquote(parts.fragment) not in there.anchors:
                    broken.append(f"{name}: {target}")
    assert not broken


def test_images_have_alternative_texts_and_no_latex_is_left(pages: dict[str, Page]) -> None:
    for name, page in pages.items():
        assert all(image.get("alt") for image in page.images), name
        assert not LATEX.search("".join(page.text)), name


def test_a_page_lists_the_deviations_that_touch_it(book: Path) -> None:
    touched = next(one for one in deviations() if "architecture" in one.pages)
    assert f'deviations.html#{chapters.anchor(touched)}"' in (
        book / "experiments" / "architecture.html"
    ).read_text(encoding="utf-8")


def test_links_to_references_and_terms_show_their_text(book: Path) -> None:
    page = (book / "paper" / "relu.html").read_text(encoding="utf-8")
    titles = re.findall(r'<a class="reference internal"[^>]*title="([^"]{40,})"', page)
    assert any("Rectified linear units" in title for title in titles)
    assert any("training error at which the nets are compared" in title for title in titles)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address(book: Path) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(book))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    with api.sync_playwright() as player:
        opened = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_browser_opens_every_page_without_complaint(
    browser, address: str, pages: dict[str, Page], width: int
) -> None:
    view = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if width == WIDTHS[0] else "light",
    )
    tab = view.new_page()
    said: list[str] = []
    tab.on(
        "console",
        lambda message: (
            said.append(f"{tab.url}: {message.text}") if message.type == "error" else None
        ),
    )
    tab.on("pageerror", lambda error: said.append(f"{tab.url}: {error}"))
    tab.on(
        "requestfailed",
        lambda request: (
            said.append(f"{request.url}: {request.failure}") if request.failure != LEFT else None
        ),
    )
    for page in contents():
        tab.goto(f"{address}/{page}.html")
        missing = tab.evaluate(
            "Array.from(document.images).filter(i => i.complete && !i.naturalWidth).map(i => i.src)"
        )
        beyond = tab.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert not missing, page
        assert beyond <= 1, f"{page} is {beyond} pixels wider than a window of {width}"
    view.close()
    assert not said


@pytest.mark.parametrize("width", [320, WIDTHS[0], 1024])
def test_nothing_sticks_out_of_the_window_with_every_fold_open(
    browser, address: str, width: int
) -> None:
    tab = browser.new_page(viewport={"width": width, "height": 900})
    for page in ("intro", "paper/augmentation", "power", "experiments/claims", "experiments/runs"):
        tab.goto(f"{address}/{page}.html")
        tab.evaluate("document.querySelectorAll('details').forEach(fold => { fold.open = true; })")
        beyond = tab.evaluate("document.scrollingElement.scrollWidth - innerWidth")
        assert beyond <= 0, f"{page} is {beyond} pixels wider than a window of {width}"
        right = tab.evaluate(
            "Math.max(...Array.from(document.querySelectorAll('.prev-next-area *'),"
            " one => one.getBoundingClientRect().right))"
        )
        assert right <= width, page
    tab.close()


def test_a_plot_on_a_dark_page_is_inverted_and_a_photograph_is_not(browser, address: str) -> None:
    view = browser.new_context(
        viewport={"width": WIDTHS[1], "height": 900}, color_scheme="dark", device_scale_factor=2
    )
    tab = view.new_page()
    tab.goto(f"{address}/paper/relu.html")
    ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    ground = [int(part) for part in re.findall(r"\d+", ground)[:3]]
    for image in tab.locator("figure.plate img").all():
        shot = Image.open(io.BytesIO(image.screenshot())).convert("RGB")
        pixels = np.asarray(shot, dtype=int).reshape(-1, 3)
        on_ground = (abs(pixels - ground) <= 2).all(axis=1)
        assert on_ground.mean() > 0.7  # the page shows through
        assert pixels.min(axis=1).max() > 200  # black labels have become white
        bluest = pixels[(pixels[:, 2] - pixels[:, 0]).argmax()]
        assert bluest[2] > 150 and bluest[2] > bluest[0] + 80  # ReLU's curve is still blue
    tab.goto(f"{address}/paper/qualitative.html")
    filters = tab.eval_on_selector_all(
        "figure.plate img", "all => all.map(one => getComputedStyle(one).filter)"
    )
    assert ["invert" in one for one in filters] == [False, False, False, True]
    view.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_text_can_be_read_in_both_themes(browser, address: str, theme: str) -> None:
    tab = browser.new_page(viewport={"width": WIDTHS[1], "height": 900}, color_scheme=theme)
    for page in ("intro", "experiments/ablations", "experiments/deviations", "experiments/kernels"):
        tab.goto(f"{address}/{page}.html")
        faint = tab.evaluate((Path(__file__).parent / "contrast.js").read_text(encoding="utf-8"))
        assert not faint, page
    tab.close()


def test_the_book_s_search_finds_dropout(browser, address: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}/search.html?q=dropout")
    tab.wait_for_selector("#search-results li a", timeout=20_000)
    found = tab.eval_on_selector_all(
        "#search-results li a", "links => links.map(link => link.getAttribute('href'))"
    )
    tab.close()
    first = next(link for link in found if "glossary" not in link)
    assert "paper/dropout.html" in first, found[:5]  # the chapter is before the pages of results


def test_moving_the_target_error_moves_the_ratio(browser, address: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}/paper/relu.html")
    answer = tab.locator(".touch[data-touch=figure1] figure p").first
    _, ours, _ = findings.answer("relu-tanh")
    assert ours is not None
    shown = float(re.findall(r"([\d.]+) times", answer.inner_text())[0])
    assert shown == pytest.approx(ours.estimate.mean, rel=0.01)
    before = answer.inner_text()
    tab.locator(".touch[data-touch=figure1] input").fill("0.4")
    assert tab.locator(".touch output").first.inner_text() == "40%"
    assert answer.inner_text() != before and "times" in answer.inner_text()
    tab.close()


def test_the_ledger_s_sections_begin_folded_on_a_phone(browser, address: str) -> None:
    opened = {}
    for width in WIDTHS:
        tab = browser.new_page(viewport={"width": width, "height": 900})
        tab.goto(f"{address}/experiments/claims.html")
        opened[width] = tab.locator("details.ledger-group[open]").count()
        tab.locator("details.ledger-group summary").first.click()
        assert tab.locator("details.ledger-group[open]").count() == abs(opened[width] - 1)
        tab.close()
    assert opened[WIDTHS[0]] == 0 and opened[WIDTHS[1]] > 5


def test_a_figure_on_a_phone_keeps_its_labels_large_and_scrolls(browser, address: str) -> None:
    tab = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
    tab.goto(f"{address}/paper/relu.html")
    image = tab.locator("figure.plate img").first.bounding_box()
    assert image["width"] >= 500  # of the 710 pixels at which it was drawn
    assert tab.locator("figure.plate figcaption").first.bounding_box()["width"] <= WIDTHS[0]
    tab.close()


def test_what_scrolls_on_a_phone_fades_at_the_right_until_its_end_is_seen(
    browser, address: str
) -> None:
    tab = browser.new_page(viewport={"width": WIDTHS[0], "height": 900})
    tab.goto(f"{address}/paper/relu.html")
    figure = tab.locator("figure.plate").first

    def fade() -> float:
        tab.wait_for_timeout(100)  # a frame, in which the browser reads where the figure stands
        style = figure.evaluate("one => getComputedStyle(one).getPropertyValue('--fade')")
        return float(style.removesuffix("px"))

    assert fade() > 10
    figure.evaluate("one => one.scrollTo(one.scrollWidth, 0)")
    assert fade() == 0
    tab.set_viewport_size({"width": WIDTHS[1], "height": 900})
    assert fade() == 0  # the whole figure is in sight
    tab.close()


def test_a_drawing_for_a_phone_fits_with_labels_that_can_be_read(browser, address: str) -> None:
    tab = browser.new_page(viewport={"width": 390, "height": 900})
    tab.goto(f"{address}/intro.html")
    box = tab.locator("figure.plate.narrow img").first.bounding_box()
    assert box["x"] + box["width"] <= 390  # no number is outside the screen
    assert box["width"] / (72 * PHONE) > 8 / 9 * 96 / 72 * 0.98  # labels of 9 points: 8 as seen
    tab.close()


def test_a_chapter_s_claims_are_stated_on_a_phone_too(browser, address: str) -> None:
    tab = browser.new_page(viewport={"width": 390, "height": 900})
    tab.goto(f"{address}/paper/relu.html")
    rows = tab.locator("table.ledger tr:has(.statement)")
    assert rows.count() >= 3  # fig1-curves, whose section is the figure's, is one of them
    assert all(row.locator(".statement").is_visible() for row in rows.all())
    tab.close()


def test_tables_have_one_style_on_every_kind_of_page(browser, address: str) -> None:
    tab = browser.new_page(viewport={"width": WIDTHS[1], "height": 900})
    for page in ("experiments/ablations", "experiments/claims", "paper/relu", "run"):
        tab.goto(f"{address}/{page}.html")
        styles = tab.evaluate(
            "Array.from(document.querySelectorAll('.bd-article table tbody tr'))"
            ".map(r => getComputedStyle(r).backgroundColor"
            " + getComputedStyle(r.lastElementChild).borderLeftWidth)"
        )
        assert set(styles) == {"rgba(0, 0, 0, 0)0px"}, page
    tab.close()


def test_a_strong_response_holds_its_neighbours_down(browser, address: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}/paper/normalisation.html")
    after = tab.locator(".touch svg").nth(1).locator("text")  # a number and a place per kernel
    before = float(after.nth(2 * 3).text_content())
    tab.locator(".touch input").fill("800")
    assert float(after.nth(2 * 3).text_content()) < before / 5
    tab.close()


def test_parameters_are_in_a_fold_and_the_page_begins_in_short(browser, address: str) -> None:
    tab = browser.new_page()
    tab.goto(f"{address}/experiments/relu_vs_tanh.html")
    assert tab.locator(".in-short img").is_visible() and tab.locator(".in-short .ours").count()
    fold = tab.locator("details:has(summary:has-text('Parameters'))")
    assert fold.count() == 1 and not fold.locator("pre").is_visible()
    fold.locator("summary").click()
    assert "target" in fold.inner_text() or "mark" in fold.inner_text()
    tab.close()
