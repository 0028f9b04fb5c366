"""The book's own figures, formulas, and how an executed notebook becomes a page."""

import base64
import io
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from replication.base import paths
from replication.book import formulas, results_pages
from replication.book.plates import committed_figures
from replication.figures import PALETTE, PAPER, WIDTH, contrast, drawings, ink, photographs
from replication.nets import alexnet

PUBLISHED = sorted((paths.BOOK / "experiments").glob("*.ipynb"))


@pytest.mark.parametrize("name", drawings.DRAWINGS)
def test_a_drawing_has_the_column_s_width_and_is_closed(name: str) -> None:
    figure = drawings.DRAWINGS[name]()
    width = drawings.PHONE if name in drawings.NARROW else WIDTH
    assert figure.get_size_inches()[0] == pytest.approx(width)
    assert not plt.get_fignums()
    texts = [text for text in figure.findobj(plt.Text) if text.get_text().strip()]
    assert min(text.get_fontsize() for text in texts) >= 8
    assert min(contrast(text.get_color()) for text in texts) >= 4.5
    figure.draw_without_rendering()  # lays it out
    drawn = figure.get_tightbbox()  # inches
    assert drawn.x0 > -0.02 and drawn.x1 < width + 0.02  # no label is cut


def test_ink_can_be_read_on_white_and_keeps_the_hue() -> None:
    assert contrast("white") == pytest.approx(1) and contrast("black") == pytest.approx(21)
    assert contrast(PAPER) >= 4.5 and ink("black") == (0, 0, 0)
    for colour in PALETTE:
        dark = np.array(ink(colour))
        assert contrast(tuple(dark)) >= 4.5
        np.testing.assert_allclose(dark / dark.max(), np.array(colour) / max(colour))


def test_the_normalisation_is_drawn_by_the_net_s_formula() -> None:
    constants = (alexnet.LRN_K, alexnet.LRN_SIZE, alexnet.LRN_ALPHA, alexnet.LRN_BETA)
    assert constants == (drawings.K, drawings.N, drawings.ALPHA, drawings.BETA)
    a = np.arange(12, dtype=np.float32).reshape(12, 1, 1) * 50
    norm = torch.nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)  # torch divides alpha by n
    wanted = norm(torch.from_numpy(a)[None])[0].numpy()
    np.testing.assert_allclose(a / drawings._denominators(a), wanted, rtol=1e-5)


def test_the_photograph_is_wider_than_high_so_that_a_margin_is_lost() -> None:
    height, width, channels = photographs.render(photographs.LABEL, photographs.NUMBER).shape
    assert channels == 3 and width > 1.3 * height


def test_a_formula_is_on_the_baseline_and_has_its_tex_as_text() -> None:
    flat, deep = formulas.outline("x"), formulas.outline(r"\frac{x}{y}")
    assert deep[3] > flat[3] >= 0
    html = formulas.element(r"a < \alpha_1")
    assert 'aria-label="a &lt; \\alpha_1"' in html and "currentColor" in html
    with pytest.raises(ValueError):
        formulas.outline(r"\nosuchcommand{x}")


def page(*cells: nbformat.NotebookNode, profile: str = "laptop") -> dict:
    notebook = new_notebook(cells=[new_markdown_cell("# Title"), *cells])
    notebook.metadata["papermill"] = {"parameters": {"profile": profile}}
    return notebook


def image() -> nbformat.NotebookNode:
    return new_output("display_data", {"image/png": base64.b64encode(b"png").decode()})


def test_parameters_are_shown_once_and_inputs_are_folded() -> None:
    defaults = new_code_cell("a = 1", metadata={"tags": ["parameters"]})
    given = new_code_cell("a = 2", metadata={"tags": ["injected-parameters"]})
    plain = new_code_cell("import this")
    results_pages.as_page(page(defaults, given, plain), "none", published=True)
    assert "remove-cell" in defaults.metadata.tags
    assert "hide-input" in given.metadata.tags and "hide-input" in plain.metadata.tags
    assert given.metadata.mystnb["code_prompt_show"] == "Parameters"


def test_a_wide_table_of_text_scrolls() -> None:
    rule = new_output("stream", name="stdout", text="layer  bytes\n" + "-" * 80 + "\n")
    wide, plain = new_code_cell("a", outputs=[rule]), new_code_cell("b")
    results_pages.as_page(page(wide, plain), "none", published=True)
    assert "wide-text" in wide.metadata.tags and "wide-text" not in plain.metadata.tags


def test_the_provenance_of_the_runs_is_folded() -> None:
    heading = new_markdown_cell(f"## {results_pages.PROVENANCE}")
    cell = new_code_cell("display(runs)")
    results_pages.as_page(page(heading, cell), "none", published=True)
    assert {"remove-input", "hide-output"} <= set(cell.metadata.tags)


def test_a_caption_names_the_profile_and_belongs_to_the_figure_alone() -> None:
    table = new_output("display_data", {"text/html": "<table></table>"})
    figure = {"figure": {"caption": "Curves.", "name": "curves"}, "image": {"alt": "curves"}}
    cell = new_code_cell("x", metadata={"mystnb": figure}, outputs=[image(), table, image()])
    made = results_pages.as_page(page(cell), "some_page", published=True)
    shown = [one["metadata"]["mystnb"].get("figure") for one in made["cells"][1:]]
    assert shown[0] == {"caption": "Curves. Profile: laptop.", "name": "some-page-curves"}
    assert shown[1] is None and shown[2] == {"caption": "Curves. Profile: laptop."}
    assert [len(one["outputs"]) for one in made["cells"][1:]] == [1, 1, 1]


def test_only_a_published_page_begins_in_short() -> None:
    for published in (True, False):
        made = results_pages.as_page(page(new_code_cell("x")), "relu_vs_tanh", published)
        assert ("In short" in made["cells"][1]["source"]) == published


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_figures_that_are_mostly_photographs_or_kernels_are_marked_as_pictures(path: Path) -> None:
    for name, figure in committed_figures(path).items():
        pixels = np.asarray(Image.open(io.BytesIO(figure.content)).convert("L"))
        picture = (pixels > 250).mean() < 0.6  # a plot's ground is white
        assert picture == (name in results_pages.PICTURES.get(path.stem, set())), name


@pytest.mark.parametrize("published", [True, False])
def test_a_picture_has_its_class_on_published_and_trial_pages(published: bool) -> None:
    for name, wanted in (("figure3", "picture"), ("selectivity", None)):
        figure = {"figure": {"caption": "Shown.", "name": name}, "image": {"alt": "shown"}}
        cell = new_code_cell("x", metadata={"mystnb": figure}, outputs=[image()])
        made = results_pages.as_page(page(cell), "kernels", published)
        assert made["cells"][-1]["metadata"]["mystnb"]["image"].get("classes") == wanted


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_figure_has_a_name_and_a_caption_that_stands_alone(path: Path) -> None:
    source = nbformat.read(paths.NOTEBOOKS / path.name, as_version=4)
    for notebook in (nbformat.read(path, as_version=4), source):
        for cell in notebook.cells:
            options = cell.metadata.get("mystnb", {})
            if "image" in options:
                assert len(options["figure"]["caption"]) > 40, cell.source[:60]
    if path.stem in results_pages.short():
        assert results_pages.short()[path.stem]["figure"] in committed_figures(path)


@pytest.mark.parametrize(
    "path", sorted(paths.NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem
)
def test_a_cell_with_a_caption_shows_one_figure(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.metadata.get("mystnb", {}).get("figure"):
            images = [one for one in cell.outputs if "image/" in " ".join(one.get("data", {}))]
            assert len(images) <= 1, cell.source  # a second one would have the same caption


def test_a_trial_says_so_in_its_title_and_under_it() -> None:
    made = results_pages.as_page(page(new_code_cell("x"), profile="quick"), "training", False)
    title, banner, cell = made["cells"]
    assert title["source"] == "# Trial: Title" and "synthetic images" in banner["source"]
    published = results_pages.as_page(page(new_code_cell("x")), "none", published=True)
    assert published["cells"][0]["source"] == "# Title"
