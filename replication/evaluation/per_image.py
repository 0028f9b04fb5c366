"""Which images a net got right, packed to one bit per image.

An interval can then be taken over images as well as over seeds.
"""

import base64
from typing import Any

import numpy as np

from replication.base.errors import InputError
from replication.evaluation.metrics import TOPS, mistakes
from replication.evaluation.predictions import Predictions


def packed(predictions: Predictions) -> dict[str, Any]:
    """Return right or wrong at top-1 and top-5 per image, in the order of the ids, as JSON.

    The fingerprint of the images is included.
    """
    by_id = np.argsort(predictions.ids)
    bits = {
        f"right{k}": np.packbits(~mistakes(predictions.p, predictions.labels, k)[by_id])
        for k in TOPS
    }
    return {"images": len(by_id), "fingerprint": predictions.fingerprint} | {
        name: base64.b64encode(values.tobytes()).decode() for name, values in bits.items()
    }


def right(entry: dict[str, Any], k: int) -> np.ndarray:
    """Return whether each image was right at top-``k``, bool (N,) in the order of the ids.

    Raises InputError if ``entry`` is damaged.
    """
    try:
        bits = np.frombuffer(base64.b64decode(entry[f"right{k}"], validate=True), np.uint8)
        if len(bits) != -(-entry["images"] // 8):
            raise ValueError(f"{len(bits)} bytes for {entry['images']} images")
        return np.unpackbits(bits, count=entry["images"]).astype(bool)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"an entry of per-image results is damaged ({type(error).__name__}): train the run"
            " again"
        ) from error
