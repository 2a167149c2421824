"""Decodes image files: upright, opaque, eight bits for each channel."""

import pathlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")  # By content, not by suffix.
SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".bmp", ".webp", ".tif", ".tiff", ".gif"),
}
# Increase it when `read` returns other pixels of the same file: it is in the name of
# cached decoded images.
READING = 2
_BITS, _PHOTOMETRIC = 258, 262  # TIFF tags.


def read(
    file: pathlib.Path | BinaryIO, shape: tuple[int, ...], resize: bool = True
) -> np.ndarray:
    """Decodes an image.

    A photo is rotated according to its EXIF data, transparent pixels are composited
    over white, 16 bits are reduced to the upper eight, and of an animation the first
    frame is read.

    Args:
        file: A file in one of `FORMATS`.
        shape: `(height, width, channels)` of the result; channels are 1 or 3.
        resize: Whether an image of another size is resized bilinearly, or refused.

    Returns:
        The pixels, uint8, of that shape.

    Raises:
        Exception: If the file is damaged, any error of its format; ValueError if the
            image has another size, or pixels that do not fit into eight bits.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    with Image.open(file, formats=FORMATS) as opened:
        _check(opened)
        image = _remove_alpha(_reduce_to_eight_bits(ImageOps.exif_transpose(opened)))
        if not resize and image.size != (width, height):
            raise ValueError(
                f"{image.height} x {image.width} pixels, not {height} x {width}"
            )
        image = image.convert("L" if channels == 1 else "RGB")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(shape)


def _check(image: "Image.Image") -> None:
    """Refuses images that Pillow would convert to other pixels than the file shows."""
    if image.format == "TIFF" and getattr(image, "n_frames", 1) > 1:
        raise ValueError("it has several pages, expected one")
    if image.mode in ("I", "F"):
        raise ValueError("its pixels have 32 bits, expected 8 or 16")
    if not image.mode.startswith("I;16"):
        return
    tags = getattr(image, "tag_v2", {_BITS: (16,), _PHOTOMETRIC: 1})
    if tags.get(_BITS) != (16,) or tags.get(_PHOTOMETRIC) != 1:
        raise ValueError(
            "its greys must be of 16 bits, from black to white. Received: "
            f"{tags.get(_BITS)} bits, photometric {tags.get(_PHOTOMETRIC)}"
        )
    if image.has_transparency_data:
        raise ValueError("its grey with transparency has 16 bits, expected 8")


def _reduce_to_eight_bits(image):
    if not image.mode.startswith("I;16"):
        return image
    from PIL import Image

    # The upper eight bits, as Pillow reads colours; `convert` would clip greys at 255.
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _remove_alpha(image):
    if not image.has_transparency_data:
        return image
    from PIL import Image

    background = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(background, image.convert("RGBA"))
