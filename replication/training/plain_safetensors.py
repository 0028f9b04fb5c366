"""The part of the safetensors library that ``weights`` uses, for a machine that has torch alone.

A file is the length of its header (8 bytes, little endian), the header as JSON with each tensor's
type, shape and place, and the tensors one after the other
(https://github.com/huggingface/safetensors). Only float32 is written here."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NOTES = "__metadata__"


class SafetensorError(ValueError):
    """A file that is not whole, or not of this format."""


def save(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the content of a file with ``tensors``, all float32 and on the CPU."""
    header: dict[str, Any] = {}
    parts, end = [], 0
    for name in sorted(tensors):
        tensor = tensors[name]
        if tensor.dtype != torch.float32:
            raise SafetensorError(f"{name} is {tensor.dtype}; only float32 is written here")
        parts.append(tensor.contiguous().numpy().tobytes())
        begin, end = end, end + len(parts[-1])
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


class safe_open:
    """A file opened for reading, as the library's ``safe_open``. Raises SafetensorError."""

    def __init__(self, path: Path, framework: str = "pt") -> None:
        content = Path(path).read_bytes()
        size = int.from_bytes(content[:8], "little")
        try:
            self.header = json.loads(content[8 : 8 + size])
            ends = [
                value["data_offsets"][1] for name, value in self.header.items() if name != NOTES
            ]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise SafetensorError(f"{path}: no header ({error})") from error
        self.data = memoryview(bytearray(content[8 + size :]))
        if max(ends, default=0) != len(self.data):
            raise SafetensorError(f"{path}: {len(self.data)} bytes of {max(ends, default=0)}")

    def __enter__(self) -> "safe_open":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held."""

    def metadata(self) -> dict[str, str]:
        """Return the notes in the header."""
        return self.header.get(NOTES, {})

    def keys(self) -> list[str]:
        """Return the names of the tensors."""
        return [name for name in self.header if name != NOTES]

    def get_tensor(self, name: str) -> Tensor:
        """Return one tensor."""
        entry = self.header[name]
        begin, end = entry["data_offsets"]
        if entry["dtype"] != "F32":
            raise SafetensorError(f"{name} is {entry['dtype']}; only float32 is read here")
        if begin == end:
            return torch.empty(entry["shape"])
        return torch.frombuffer(self.data[begin:end], dtype=torch.float32).reshape(entry["shape"])
