"""What an exported file says of itself: one more entry among its TFLite metadata."""

import json
import pathlib
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from distill.runtime import tflite

ENTRY = "distill"  # The entry's name; its buffer holds JSON, UTF-8.
_ALIGNED = 16  # Bytes; the schema forces it on every buffer.


def stamp(file: bytes, origin: dict[str, Any]) -> bytes:
    """A file with an entry added; ops, tensors and weights stay as they are.

    Args:
        file: A `.tflite` file; an entry of an earlier call is replaced.
        origin: Plain data. The same data make the same bytes.

    Returns:
        The file.

    Source:
        https://ai.google.dev/edge/litert/models/metadata, for where it stands.
    """
    model = tflite.unpack(file)
    text = json.dumps(origin, separators=(",", ":"), sort_keys=True)
    content = np.frombuffer(text.encode(), np.uint8)
    entries = list(model.metadata or [])
    known = [entry for entry in entries if _name(entry) == ENTRY]
    if known:
        model.buffers[known[0].buffer].data = content
    else:
        place = len(model.buffers)
        entries.append(schema.MetadataT(name=ENTRY.encode(), buffer=place))
        model.buffers.append(schema.BufferT(data=content))
    model.metadata = entries
    return packed(model, len(file) + len(text))


def packed(model: schema.ModelT, size: int) -> bytes:
    """The file of a model that was unpacked and changed.

    Args:
        model: Its buffers are replaced by the like of them.
        size: About how many bytes it will have.
    """
    model.buffers = [_Buffer(old.data) for old in model.buffers]
    builder = flatbuffers.Builder(size + 1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def read(path: pathlib.Path) -> dict[str, Any] | None:
    """What a `.tflite` file says of itself; None if it has no such entry.

    Raises:
        ValueError: If it is no TFLite file, or the entry cannot be read.
    """
    try:
        model = tflite.unpack(path.read_bytes())
        for entry in model.metadata or []:
            if _name(entry) == ENTRY:
                return json.loads(bytes(model.buffers[entry.buffer].data))
    except Exception as error:  # A damaged file raises anything.
        raise ValueError(f"{path} is a damaged TFLite file: {error}") from None
    return None


def _name(entry):
    return bytes(entry.name or b"").decode(errors="replace")


class _Buffer(schema.BufferT):
    """A buffer that is packed where the schema wants it: `Pack` alone forgets that."""

    def __init__(self, data):
        super().__init__(data=data)

    def Pack(self, builder):
        """Writes the buffer, its data at a multiple of 16 bytes."""
        if self.data is not None:
            builder.Prep(_ALIGNED, len(self.data))
        return super().Pack(builder)
