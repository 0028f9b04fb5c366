"""Reading executed notebooks: a damaged one is named once and never ends in a traceback."""

import json
from pathlib import Path

import pytest

from replication.base.errors import InputError
from replication.base.pages import page_notes, read_page
from replication.book import stamps
from replication.runs import seal

WHOLE = {"metadata": {"replication": {"profile": "paper"}}, "cells": [{"cell_type": "markdown"}]}


@pytest.mark.parametrize(
    "damage",
    [
        "",
        "<<<<<<< HEAD\n{}",
        "[]",
        "{}",
        '{"metadata": {}}',
        '{"metadata": [], "cells": []}',
        '{"metadata": {}, "cells": ["cut"]}',
    ],
)
def test_a_damaged_page_is_one_line_or_has_no_notes(damage: str, tmp_path: Path) -> None:
    page = tmp_path / "page.ipynb"
    for content in (None, damage):  # missing at first
        if content is not None:
            page.write_text(content)
        with pytest.raises(InputError, match=r"page\.ipynb is no notebook \(.*git checkout"):
            read_page(page)
        assert page_notes(page) == {} and stamps.profile_of(page) == ""
        assert stamps.differences(page, {"code": "1"}) == ["page"]
        assert seal.page_faults(page) == []


def test_a_whole_page_says_what_it_was_made_from(tmp_path: Path) -> None:
    page = tmp_path / "page.ipynb"
    page.write_text(json.dumps(WHOLE))
    assert page_notes(page) == {"profile": "paper"} and stamps.profile_of(page) == "paper"
    page.write_text(json.dumps(WHOLE | {"metadata": {"replication": "cut"}}))
    assert page_notes(page) == {}
