"""The pictures of an executed notebook: stored in fewer bytes, with the same pixels."""

import base64
import io

import nbformat
from PIL import Image

PNG = "image/png"
OPAQUE = (255, 255)


def shrink(notebook: nbformat.NotebookNode) -> None:
    """Compress the PNGs among the outputs again, without an alpha channel that hides nothing."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if PNG in output.get("data", {}):
                output.data[PNG] = _smaller(output.data[PNG])


def _smaller(text: str) -> str:
    """Return a PNG in base64 that has the same pixels, or the same one if that is no larger."""
    before = base64.b64decode(text)
    picture = Image.open(io.BytesIO(before))
    if picture.mode == "RGBA" and picture.getchannel("A").getextrema() == OPAQUE:
        picture = picture.convert("RGB")
    after = io.BytesIO()
    picture.save(after, "PNG", optimize=True)
    content = after.getvalue()
    return base64.b64encode(content).decode() if len(content) < len(before) else text
