"""A short Python program that classifies images or texts with one `.tflite` file."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from distill.data import sidecar
from distill.measure.end import End

_LOAD = """\
model = Interpreter({file})
model.allocate_tensors()
"""
_CALL = """\
    model.set_tensor(model.get_input_details()[0]["index"], {given})
    model.invoke()
    logits = model.get_tensor(model.get_output_details()[0]["index"])[0]
    print({what}, names[logits.argmax()], sep="\\t")
"""
# Rotated upright, on white, resized: as `data.sets.image_file` reads an image.
_READ = """\
    image = ImageOps.exif_transpose(Image.open(argument)).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    image = image.convert("{mode}")
    image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)
    pixels = np.asarray(image, np.float32) / 255
"""
_MODES = {1: "L", 3: "RGB"}  # Number of channels to Pillow's name for them.


def program(
    file: str, takes: Mapping[str, Any], kind: str, names: Sequence[str], most: int = 20
) -> str:
    """The program: it classifies the images whose files, or the texts, it is given.

    Args:
        file: The name of the file, which LiteRT must be able to run.
        takes: Its input, as the fields of an `End`.
        kind: `images` or `texts`.
        names: The class names, in the order of the logits.
        most: Up to so many names stand in the program; more are read from
            `labels.txt`.
    """
    end = End(**takes)
    listed = json.dumps(list(names), ensure_ascii=False)
    if len(names) > most:
        listed = f"open({json.dumps(sidecar.LABELS)}).read().splitlines()"
    load = _LOAD.format(file=json.dumps(file))
    body = _texts if kind == "texts" else _images
    imports, more, loop = body(end)
    return (
        f"import sys\n\n{imports}\n{load}{more}names = {listed}\n"
        f"for argument in sys.argv[1:]:\n{loop}"
    )


def _texts(end):
    imports = """\
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from tokenizers import Tokenizer
"""
    load = f"tokenizer = Tokenizer.from_file({json.dumps(sidecar.TOKENIZER)})\n"
    ids = f"np.array([tokenizer.encode(argument).ids], np.{end.dtype})"
    return imports, load, _CALL.format(given=ids, what="argument")


def _images(end):
    height, width, channels = end.shape[1:]
    imports = """\
import numpy as np
from ai_edge_litert.interpreter import Interpreter
"""
    if channels in _MODES:
        imports += "from PIL import Image, ImageOps\n"
        read = _READ.format(mode=_MODES[channels], width=width, height=height)
    else:
        read = "    pixels = np.load(argument)  # Numbers in [0, 1].\n"
    shape = f"1, {height}, {width}, {channels}"
    read += f"    pixels = pixels.reshape({shape}){_quantize(end)}\n"
    return imports, "", read + _CALL.format(given="pixels", what="argument")


def _quantize(end):
    """The rest of an expression that makes the input's integers of pixels."""
    if end.zero_point is None:
        return f".astype(np.{end.dtype})"
    bounds = np.iinfo(end.dtype)
    # As TensorFlow Lite quantizes: rounded to even, clipped to the type.
    return (
        f" / {end.scale!r} + {end.zero_point}\n"
        f"    pixels = pixels.round().clip({bounds.min}, {bounds.max})"
        f".astype(np.{end.dtype})"
    )
