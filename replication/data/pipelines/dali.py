"""The pipeline in NVIDIA DALI, on the CPU or the GPU (sections 2 and 4.1).

It decodes, resizes, crops, mirrors, subtracts the mean and shifts colours. Encoded bytes, windows
and draws are external sources, so DALI scans no folder and draws no number. Only the region that a
crop needs is decoded, with the pixels around it that the resampling filter reaches. The flip costs
nothing: the region is read from right to left. Measured on 64 ILSVRC photographs (CPU, DALI 2.4):
decoded pixels equal Pillow's. Resized ones differ by one grey level in 15% of the values, because
Pillow rounds between its two passes and DALI does not; and by up to 9 in the outermost row or
column of the photograph itself, where DALI's filter repeats the last pixel and Pillow's leaves it
out. From the raw store all bits agree.

On a GPU, files are decoded on the CPU and everything after it runs on the GPU. libjpeg-turbo on
several cores is as fast as nvJPEG or faster, and gives Pillow's pixels; nvJPEG's depend on how a
batch is divided between its engine and the cores. ``mixed`` chooses nvJPEG, and ``backend``, which
every run records, says which of the two it was.

Files that DALI would decode by another policy (all without a ``plain_size``) are decoded by
``decode`` and passed on as plain pixels.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch

from replication.base.errors import InputError
from replication.base.machine import cpus
from replication.data.augment.draws import Draws, central
from replication.data.files import cifar10 as packed
from replication.data.files import jpeg
from replication.data.files.decode import Unreachable, decode, read
from replication.data.files.index import Index
from replication.data.pipelines.dali_graph import Graph, windows
from replication.data.pipelines.pipeline import BatchRequest, PreparedBatch
from replication.data.pipelines.stored import Transform
from replication.data.prepared.store import Store

SCHEDULED = 2  # batches that DALI works on while the one before is used
READERS = 8  # files read at once: a disk or a network answers several faster than one after another
# a whole JPEG has its end marker within so many bytes of its file's end
END, TAIL = b"\xff\xd9", 64


class DaliPipeline:
    """Batches that DALI prepares from a data set's files or from a store's squares."""

    def __init__(
        self,
        source: Store | Index,
        transform: Transform,
        device: torch.device,
        mixed: bool = False,
    ) -> None:
        from nvidia import dali

        self.backend = f"dali {dali.__version__} {device.type}"
        self.mixed = mixed and device.type == "cuda"
        if device.type == "cuda" and not isinstance(source, Store):
            self.backend += ", decoded on the GPU" if self.mixed else ", decoded on the CPU"
        self.squares = np.asarray(source.images) if isinstance(source, Store) else None
        self.index = source.index if isinstance(source, Store) else source
        self.transform, self.device = transform, device
        self._idle: list[Graph] = []
        self._lock = threading.Lock()

    def stream(self, requests: Iterable[BatchRequest]) -> Iterator[PreparedBatch]:
        """Return the batch of every request, in order, with ``SCHEDULED`` of them under way.

        A file that cannot be read ends it or is left out."""
        flight: deque[_Flight] = deque()
        graph: Graph | None = None
        with ThreadPoolExecutor(READERS, "reader") as readers:
            try:
                for request in requests:
                    graph = graph or self._take(request)
                    flight.append(self._submit(graph, request, readers))
                    if len(flight) > SCHEDULED:
                        graph, batch = self._collect(graph, flight, readers)
                        yield batch
                while flight:
                    graph, batch = self._collect(graph, flight, readers)
                    yield batch
            finally:
                if graph is not None and graph.drained(
                    sum(flying.inputs is not None for flying in flight)
                ):
                    with self._lock:
                        self._idle.append(graph)

    def close(self) -> None:
        """Release the pipelines, their threads and memory."""
        with self._lock:
            self._idle.clear()

    def _take(self, request: BatchRequest) -> Graph:
        colour = request.colour and self.transform.colour > 0
        with self._lock:
            for i, graph in enumerate(self._idle):
                if (graph.views, graph.colour) == (request.views, colour) and graph.batch >= len(
                    request.rows
                ):
                    return self._idle.pop(i)
        return self._graph(request.views, colour, len(request.rows))

    def _graph(self, views: int, colour: bool, batch: int) -> Graph:
        encoded = self.squares is None
        return Graph(self.transform, views, colour, encoded, batch, self.device, cpus(), self.mixed)

    def _submit(
        self,
        graph: Graph,
        request: BatchRequest,
        readers: ThreadPoolExecutor,
        careful: bool = False,
    ) -> "_Flight":
        flying = self._prepare(request, readers, careful)
        if flying.inputs is not None:
            graph.schedule(flying.inputs)
        return flying

    def _collect(
        self, graph: Graph, flight: "deque[_Flight]", readers: ThreadPoolExecutor
    ) -> tuple[Graph, PreparedBatch]:
        """Return the oldest batch in flight.

        If DALI fails, everything in flight is decoded by ``decode``, which names the file at fault.
        """
        if flight[0].inputs is not None:
            try:
                return graph, PreparedBatch(graph.collect(), flight.popleft().kept)
            except RuntimeError as error:
                return self._again(graph, flight, readers, error)
        flying = flight.popleft()
        if flying.error is not None:
            raise flying.error
        shape = (0, self.transform.side, self.transform.side, 3)
        return graph, PreparedBatch(
            torch.empty(
                shape if flying.request.views == 1 else (0, flying.request.views, *shape[1:])
            ),
            flying.kept,
        )

    def _prepare(
        self, request: BatchRequest, readers: ThreadPoolExecutor, careful: bool
    ) -> "_Flight":
        size, side = self.transform.size, self.transform.side
        draws = request.draws or central(len(request.rows), size, side)
        if self.squares is not None:
            inputs: dict[str, Any] = {"image": [self.squares[row] for row in request.rows.tolist()]}
            if request.views == 1:
                inputs |= {
                    "start": np.stack([draws.top, draws.left], 1).astype(np.int32),
                    "flip": draws.flip.astype(np.int32),
                }
            return _Flight(
                request, np.arange(len(request.rows)), inputs | self._drawn(draws, request)
            )
        encoded = list(readers.map(lambda row: self._encoded(row, careful), request.rows.tolist()))
        errors = [item for item in encoded if isinstance(item, InputError)]
        # a fault of the machine is not one of the file: the run never continues without it
        faults = [error for error in errors if isinstance(error, Unreachable)]
        if faults or (errors and self.transform.data.unreadable == "stop"):
            return _Flight(request, np.arange(0), None, (faults or errors)[0])
        kept = np.array(
            [place for place, item in enumerate(encoded) if not isinstance(item, InputError)],
            np.int64,
        )
        if not len(kept):
            return _Flight(request, kept, None)
        draws = Draws(*(part[kept] for part in draws))
        if request.views != 1:  # the whole stored square, of which the views are cut
            draws = draws._replace(top=np.zeros_like(kept), left=np.zeros_like(kept))
            side = size
        heights, widths = np.array(
            [(encoded[place].height, encoded[place].width) for place in kept.tolist()]
        ).T
        inputs = {"image": [encoded[place].content for place in kept.tolist()]}
        inputs |= windows(heights, widths, size, side, draws)
        return _Flight(request, kept, inputs | self._drawn(draws, request))

    def _drawn(self, draws: Draws, request: BatchRequest) -> dict[str, np.ndarray]:
        """Return the place where the mean image is read, and the colour shift.

        Mirrored images read from the mirrored half.
        """
        inputs = {}
        if request.views == 1 and self.transform.mean is not None and self.transform.aligned:
            mirrored = 2 * self.transform.size - self.transform.side - draws.left
            inputs["mean"] = np.stack(
                [draws.top, np.where(draws.flip, mirrored, draws.left)], 1
            ).astype(np.int32)
        if request.colour and self.transform.colour:
            inputs["shift"] = self.transform.shifts(draws.normals)[:, None, None, :]
        return inputs

    def _encoded(self, row: int, careful: bool) -> "_Encoded | InputError":
        """Return one image's bytes, such that DALI decodes them to the pixels of ``decode``.

        ``careful``: nothing is left to DALI.
        """
        path = self.index.path(row)
        if self.index.records is not None:
            return _plain(packed.read(path, int(self.index.records[row])))
        try:
            content = read(path, str(path))
            if not careful and END in content[-TAIL:] and (size := plain_size(content)):
                return _Encoded(np.frombuffer(content, np.uint8), *size)
            return _plain(decode(content, str(path)))
        except InputError as error:
            return error

    def _again(
        self,
        graph: Graph,
        flight: "deque[_Flight]",
        readers: ThreadPoolExecutor,
        error: RuntimeError,
    ) -> tuple[Graph, PreparedBatch]:
        if self.squares is None:
            graph = self._graph(graph.views, graph.colour, graph.batch)
            requests = [flying.request for flying in flight]
            flight.clear()
            flight.extend(
                self._submit(graph, request, readers, careful=True) for request in requests
            )
            if flight[0].inputs is None:
                return self._collect(graph, flight, readers)
            try:
                return graph, PreparedBatch(graph.collect(), flight.popleft().kept)
            except RuntimeError as second:
                error = second
        raise InputError(
            f"DALI cannot make a batch of {self.index.name}, try the reference pipeline:"
            f" {' '.join(str(error).split())[:300]}"
        )


class _Flight(NamedTuple):
    """A request on its way through DALI, with the arrays that DALI reads meanwhile."""

    request: BatchRequest
    kept: np.ndarray
    inputs: dict[str, Any] | None  # None: no image could be read
    error: InputError | None = None


class _Encoded(NamedTuple):
    content: np.ndarray  # uint8 (bytes,)
    height: int
    width: int


def plain_size(content: bytes) -> tuple[int, int] | None:
    """Return height and width of an upright JPEG of 8-bit grey or YCbCr pixels; None for others.

    A header that makes no sense is one of the others, so that ``decode`` names the file."""
    header = jpeg.frame(content)
    return None if header is None or not header.plain else (header.height, header.width)


def _plain(pixels: np.ndarray) -> _Encoded:
    height, width = pixels.shape[:2]
    # a PPM file: pixels as they are
    content = f"P6 {width} {height} 255\n".encode() + pixels.tobytes()
    return _Encoded(np.frombuffer(content, np.uint8), height, width)
