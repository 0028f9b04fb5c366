"""DALI's graph of operators: from encoded files or stored squares to crops (sections 2 and 4.1)."""

from typing import Any

import numpy as np
import torch

from replication.data.augment.draws import Draws
from replication.data.pipelines.pipeline import view_places
from replication.data.pipelines.stored import Transform


class Graph:
    """One built DALI pipeline.

    ``schedule`` hands it a batch, ``collect`` waits for the oldest one scheduled.
    """

    def __init__(
        self,
        transform: Transform,
        views: int,
        colour: bool,
        encoded: bool,
        batch: int,
        device: torch.device,
        threads: int,
        mixed: bool,
    ) -> None:
        from nvidia.dali import Pipeline

        self.views, self.colour, self.batch = views, colour, batch
        number = None if device.type == "cpu" else device.index or 0
        # a queue of one: batches are scheduled here, ahead of those that are collected, as many as
        # there are
        self.pipe = Pipeline(batch, threads, number, prefetch_queue_depth=1, exec_dynamic=True)
        with self.pipe:
            self.pipe.set_outputs(define(transform, views, colour, encoded, device, mixed))
        self.pipe.build()

    def schedule(self, inputs: dict[str, Any]) -> None:
        """Hand DALI a batch: the arrays of its external sources, by name."""
        for name, value in inputs.items():
            self.pipe.feed_input(name, value)
        self.pipe.schedule_run()

    def collect(self) -> torch.Tensor:
        """Return the images of the oldest batch that is scheduled, and wait for them.

        Keep a batch on a GPU until the work that reads it is done, not only queued: once nothing
        refers to its memory, DALI writes other batches there, on a stream of its own."""
        (output,) = self.pipe.share_outputs()
        # no copy: the dynamic executor leaves memory alone that somebody refers to
        images = torch.from_dlpack(output.as_tensor())
        self.pipe.release_outputs()
        return images

    def drained(self, scheduled: int) -> bool:
        """Wait for what is scheduled; return whether the pipeline can be used again."""
        try:
            for _ in range(scheduled):
                self.collect()
        except RuntimeError:
            return False
        return True


def define(
    transform: Transform,
    views: int,
    colour: bool,
    encoded: bool,
    device: torch.device,
    mixed: bool = False,
) -> Any:
    """Build the graph, from its external sources to float32 (side, side, 3) per image.

    (10, side, side, 3) for ten views. ``mixed``: files are decoded by nvJPEG, on the GPU.
    """
    from nvidia.dali import fn, types

    gpu = device.type == "cuda"
    place = "gpu" if gpu else "cpu"
    side = transform.side if views == 1 else transform.size

    def given(name: str, **options: Any) -> Any:
        return fn.external_source(name=name, **options)

    def constant(values: np.ndarray) -> Any:
        return types.Constant(np.ascontiguousarray(values), device=place)

    if encoded:
        image = fn.decoders.image_slice(
            given("image", no_copy=True),
            start=given("start"),
            end=given("end"),
            axis_names="HW",
            device="mixed" if mixed else "cpu",
            output_type=types.RGB,
            # rotated files arrive upright; a window across a rotated image ends in a crash
            adjust_orientation=False,
            # of colours on the GPU too: libjpeg-turbo and Pillow always do
            jpeg_fancy_upsampling=True,
        )
        image = image.gpu() if gpu and not mixed else image
        image = fn.resize(
            image,
            size=[side, side],
            roi_start=given("from"),
            roi_end=given("to"),
            interp_type=types.INTERP_LINEAR,
        )
    else:
        image = given("image", layout="HWC", no_copy=True)
        image = image.gpu() if gpu else image
        if views == 1:
            image = fn.flip(
                fn.slice(image, start=given("start"), shape=[side, side], axes=[0, 1]),
                horizontal=given("flip"),
            )
    if views != 1:
        image = fn.stack(*_views(transform, image, views, constant))
    elif transform.mean is None:
        image = fn.cast(image, dtype=types.FLOAT)
    elif transform.aligned:
        both = constant(np.concatenate([transform.mean, transform.mean[:, ::-1]], 1))
        image = image - fn.slice(both, start=given("mean"), shape=[side, side], axes=[0, 1])
    else:
        image = image - constant(
            transform.mean[transform.middle :, transform.middle :][:side, :side]
        )
    if colour:
        shift = given("shift")
        image = image + (shift.gpu() if gpu else shift)
        if transform.divisor != 1:
            image = image / np.float32(transform.divisor)
    return image if transform.scale == 1 else image * transform.scale


def _views(transform: Transform, image: Any, views: int, constant: Any) -> list[Any]:
    from nvidia.dali import fn, types

    side, mean = transform.side, transform.mean
    crops = []
    for (top, left), flip in zip(*view_places(transform.data, views), strict=True):
        if flip and transform.aligned:
            # the difference mirrored is the difference of the mirrored
            crops.append(fn.flip(crops[len(crops) - 5], horizontal=1))
            continue
        crop = fn.slice(image, start=[int(top), int(left)], shape=[side, side], axes=[0, 1])
        crop = fn.flip(crop, horizontal=1) if flip else crop
        if mean is None:
            crops.append(fn.cast(crop, dtype=types.FLOAT))
            continue
        y, x = (top, left) if transform.aligned else (transform.middle, transform.middle)
        crops.append(fn.reshape(crop - constant(mean[y : y + side, x : x + side]), layout="HWC"))
    return crops


def windows(
    heights: np.ndarray, widths: np.ndarray, size: int, side: int, draws: Draws
) -> dict[str, np.ndarray]:
    """Return the part of each file to decode, and the region of that part that is its crop.

    The crop is the ``side`` x ``side`` one of its stored square. By section 2's reduction
    (``store.reduce``): shorter side to ``size``, longer one rounded, central square, and in it the
    crop. "start" and "end" int32 (N, 2) in the file's pixels, "from" and "to" float32 (N, 2) from
    there; a flip turns left and right around.
    """
    whole = np.stack([heights, widths], 1).astype(np.float64)
    shorter = whole.min(axis=1, keepdims=True)
    reduced = np.rint(whole * size / shorter)  # half to even, as Python rounds
    corner = (reduced - size) // 2 + np.stack([draws.top, draws.left], 1)
    step = whole / reduced
    start, end = corner * step, (corner + side) * step
    reach = np.maximum(step, 1) + 1  # of the filter, and one pixel for rounding
    first = np.maximum(np.floor(start - reach), 0)
    last = np.minimum(np.ceil(end + reach), whole)
    start, end = start - first, end - first
    flip = np.stack([np.zeros_like(draws.flip), draws.flip], 1)
    return {
        "start": first.astype(np.int32),
        "end": last.astype(np.int32),
        "from": np.where(flip, end, start).astype(np.float32),
        "to": np.where(flip, start, end).astype(np.float32),
    }
