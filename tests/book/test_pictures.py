"""The pictures of an executed notebook keep their pixels and take fewer bytes."""

import base64
import io

import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from replication.book import pictures


def png(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=1)
    return base64.b64encode(content.getvalue()).decode()


def read(text: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(text)))


@pytest.mark.parametrize("alpha", [255, 128], ids=["opaque", "half transparent"])
def test_a_picture_has_the_same_pixels_in_fewer_bytes(alpha: int) -> None:
    pixels = np.zeros((60, 80, 4), np.uint8)
    pixels[10:20, :, :3] = (200, 30, 90)
    pixels[..., 3] = alpha
    before = png(Image.fromarray(pixels))
    outputs = [new_output("display_data", {"image/png": before, "text/plain": "a figure"})]
    outputs.append(new_output("stream", text="no picture"))
    notebook = new_notebook(cells=[new_code_cell("draw()", outputs=outputs)])
    pictures.shrink(notebook)
    after = notebook.cells[0].outputs[0]["data"]["image/png"]
    assert len(after) < len(before)
    assert (np.asarray(read(after).convert("RGBA")) == pixels).all()
    once = after
    pictures.shrink(notebook)
    assert notebook.cells[0].outputs[0]["data"]["image/png"] == once
