"""Opens the flatbuffer of a TFLite file."""

from typing import Any

import numpy as np


def unpack(content: bytes) -> Any:
    """The `ModelT` of a file, in which every constant is the data of its buffer.

    Writers of large files put constants behind the flatbuffer, where the schema's own
    reader leaves them.

    Args:
        content: A TFLite file.

    Raises:
        ValueError: If a constant would end behind the file.
        Exception: Whatever the schema's reader raises for a damaged file.
    """
    # Imported here: runs without export work where it is not installed.
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    for buffer in model.buffers:
        if buffer.size:
            if buffer.offset + buffer.size > len(content):
                raise ValueError("a constant ends behind the file")
            buffer.data = np.frombuffer(content, np.uint8, buffer.size, buffer.offset)
            buffer.offset = buffer.size = 0
    return model
