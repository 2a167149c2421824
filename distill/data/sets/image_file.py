"""An image file -> pixels as people see them: upright, opaque, eight bits a channel."""

import pathlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF", "GIF")  # Whatever a file is called.
SUFFIXES = {
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif"),
    *(".bmp", ".webp", ".tif", ".tiff", ".gif"),
}
READING = 2  # Counts up when `read` gives other pixels of the same file.
_BITS, _PHOTOMETRIC = 258, 262  # Tags of TIFF.


def read(
    file: pathlib.Path | BinaryIO, shape: tuple[int, ...], resized: bool = True
) -> np.ndarray:
    """Decodes an image.

    A photo is turned as its EXIF says, see-through pixels are laid over white, of
    sixteen bits the upper eight are taken, of an animation the first frame.

    Args:
        file: Of one of `FORMATS`.
        shape: `(height, width, channels)` of what is wanted; grey or colour.
        resized: Whether an image of another size is resized, bilinearly.

    Returns:
        uint8, of that shape.

    Raises:
        Exception: Whatever the format does, if the file is damaged; ValueError, if the
            image has another size, or pixels that do not fit into eight bits.
    """
    from PIL import Image, ImageOps

    height, width, channels = shape
    with Image.open(file, formats=FORMATS) as opened:
        _check(opened)
        image = _opaque(_eight_bits(ImageOps.exif_transpose(opened)))
        if not resized and image.size != (width, height):
            raise ValueError(
                f"{image.height} x {image.width} pixels, not {height} x {width}"
            )
        image = image.convert("L" if channels == 1 else "RGB")
        image = image.resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(shape)


def _check(image: "Image.Image") -> None:
    """Refuses what Pillow would give as other pixels than the file shows."""
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
        raise ValueError("its see-through grey has 16 bits, expected 8")


def _eight_bits(image):
    if not image.mode.startswith("I;16"):
        return image
    from PIL import Image

    # The upper eight, as Pillow takes them of colours.
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _opaque(image):
    if not image.has_transparency_data:
        return image
    from PIL import Image

    over = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(over, image.convert("RGBA"))
