"""The ledger's page in a browser: filters, chips and a phone; skipped without Chromium."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from replication.base import paths
from replication.ledger.chips import CHIPS, prose_html
from replication.ledger.rules import VERDICTS
from replication.ledger.tables import anchor, ledger_html
from replication.ledger.verdicts import ledger

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
ROWS = "tr[data-verdict]:visible"


def luminance(colour: str) -> float:
    """Return the relative luminance of "#rrggbb" (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_word_has_a_chip_with_a_sign_that_can_be_read() -> None:
    assert list(CHIPS) == list(VERDICTS)
    for sign, colour in CHIPS.values():
        assert len(sign) == 1 and 1.05 / (luminance(colour) + 0.05) >= 4.5


def test_what_is_between_backticks_is_shown_as_code() -> None:
    shown = prose_html("named in `data.larger` & <it>")
    assert shown == 'named in <code><span class="pre">data.larger</span></code> &amp; &lt;it&gt;'
    assert "`" not in ledger_html(ledger())


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    api = pytest.importorskip("playwright.sync_api")
    page: Path = tmp_path_factory.mktemp("ledger") / "page.html"
    page.write_text(f"<!doctype html><body>{ledger_html(ledger())}</body>", encoding="utf-8")
    with api.sync_playwright() as player:
        browser = player.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        opened = browser.new_page(viewport={"width": 1280, "height": 900})
        opened.goto(page.as_uri())
        yield opened
        browser.close()


def test_filters_hide_rows_by_verdict_and_by_kind(tab) -> None:
    every = tab.locator(ROWS).count()
    for field, value in (("verdict", "not-run"), ("kind", "E")):
        gone = tab.locator(f'tr[data-{field}="{value}"]').count()
        box = f'input[data-{field}="{value}"]'
        tab.uncheck(box)
        assert gone > 0 and tab.locator(ROWS).count() == every - gone
        tab.check(box)
    assert tab.locator(ROWS).count() == every


def test_a_section_without_rows_is_hidden_with_its_title(tab) -> None:
    groups = tab.locator("details.ledger-group")
    titles = tab.locator("details.ledger-group:visible > summary")
    every = groups.count()
    for field, value in (("verdict", "not-run"), ("kind", "E"), ("verdict", "holds")):
        tab.uncheck(f'input[data-{field}="{value}"]')
        shown = [group.locator(ROWS).count() > 0 for group in groups.all()]
        assert titles.count() == sum(shown)
    assert titles.count() < every  # some section has become empty
    for box in tab.locator("input[type=checkbox]").all():
        box.check()
    assert titles.count() == every


def test_on_a_phone_the_section_of_a_linked_row_is_open(tab, tmp_path: Path) -> None:
    script = (paths.BOOK / "_static" / "touch.js").as_uri()
    page = tmp_path / "page.html"
    text = f'<!doctype html><body>{ledger_html(ledger())}<script src="{script}"></script>'
    page.write_text(text, encoding="utf-8")
    row = anchor(ledger()[-1].id)
    phone = tab.context.browser.new_page()
    phone.set_viewport_size({"width": 390, "height": 800})
    phone.goto(f"{page.as_uri()}#{row}")
    # a browser may reveal the row before the script folds the sections, or after it
    phone.evaluate("document.dispatchEvent(new Event('DOMContentLoaded'))")
    assert phone.locator("details.ledger-group[open]").count() == 1
    box = phone.locator(f"#{row}").bounding_box()
    assert 0 <= box["y"] < 800
    phone.close()


def test_on_a_phone_each_row_is_a_short_card_inside_the_window(tab) -> None:
    tab.set_viewport_size({"width": 390, "height": 800})
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert tab.evaluate(width) <= 1
    assert not tab.locator(".ledger thead").first.is_visible()
    assert not tab.locator(".ledger .statement").first.is_visible()
    heights = [box.bounding_box()["height"] for box in tab.locator(ROWS).all()]
    assert max(heights) < 400 and sorted(heights)[len(heights) // 2] < 200
    tab.locator("details.more summary").first.click()  # the statement is in the fold
    assert re.search("parameters", tab.locator("details.more[open] dl").first.inner_text())
    tab.set_viewport_size({"width": 1280, "height": 900})
