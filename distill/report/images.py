"""Arranges image arrays in sheets and encodes them as PNG."""

import io

import numpy as np
from PIL import Image


def png(image: np.ndarray) -> bytes:
    """Encodes an image as a PNG file.

    Args:
        image: float in [0, 1], `(height, width, channels)`, with one channel (grey)
            or three (red, green, blue). Values outside are clipped.

    Returns:
        The content of the file.
    """
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(
        file, format="PNG", optimize=True
    )
    return file.getvalue()


def sheet(images: np.ndarray, columns: int = 8, least: int = 64) -> np.ndarray:
    """Arranges images in rows, separated by black lines, as one image.

    Args:
        images: `(n, height, width, channels)`, at least one.
        columns: Number of images in a row; the last row is padded with black.
        least: Smaller images are enlarged by an integer factor, without
            interpolation, until their shorter side has this many pixels.

    Returns:
        The sheet, `(height, width, channels)`.
    """
    factor = max(1, -(-least // min(images.shape[1:3])))
    images = images.repeat(factor, axis=1).repeat(factor, axis=2)
    # A black line after each row and column; black images fill the last row.
    images = np.pad(images, ((0, -len(images) % columns), (0, 1), (0, 1), (0, 0)))
    rows = images.reshape(-1, columns, *images.shape[1:])
    count, _, height, width, channels = rows.shape
    return rows.swapaxes(1, 2).reshape(count * height, columns * width, channels)
