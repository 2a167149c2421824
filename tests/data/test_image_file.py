"""An image file gives the pixels that a viewer shows, or an error."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from distill.data.sets import image_file

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (4, 6, 3), np.uint8)
LEFT = COLOURS.copy()
LEFT[:, :3], LEFT[:, 3:] = (250, 10, 20), (30, 40, 200)


def saved(image, form, **options):
    stream = io.BytesIO()
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    image.save(stream, form, **options)
    return io.BytesIO(stream.getvalue())


def read(file, channels=3, size=(4, 6)):
    return image_file.read(file, (*size, channels), resize=False)


def png_of_sixteen_bits(pixels, kind):
    """By hand: Pillow writes only greys."""

    def chunk(name, content):
        sum_of_it = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + sum_of_it

    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts))


@pytest.mark.parametrize("form", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_every_lossless_format_gives_the_pixels_that_were_saved(form):
    few = COLOURS // 128 * 128  # GIF has 256 colours.
    lossless = {"lossless": True} if form == "WEBP" else {}
    np.testing.assert_array_equal(read(saved(few, form, **lossless)), few)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_greys_of_sixteen_bits_are_their_upper_eight(form):
    greys = np.linspace(0, 65535, 24).astype(np.uint16).reshape(4, 6)
    actual = read(saved(greys, form), channels=1)[..., 0]
    np.testing.assert_array_equal(actual, greys >> 8)
    assert (actual[0, 0], actual[-1, -1]) == (0, 255)


def test_greys_and_colours_of_sixteen_bits_are_the_same():
    greys = RNG.integers(0, 65536, (4, 6), np.uint16)
    grey = read(png_of_sixteen_bits(greys, 0))
    colour = read(png_of_sixteen_bits(np.repeat(greys[..., None], 3, -1), 2))
    np.testing.assert_array_equal(grey, colour)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "palette", "grey", "TIFF"])
def test_transparent_pixels_are_white_whatever_their_colour(form):
    image = Image.new("RGBA", (6, 4), (255, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 3, 4))
    options = {"lossless": True, "exact": True} if form == "WEBP" else {}
    if form == "palette":
        image = image.convert("P")
        image.info["transparency"] = image.getpixel((5, 0))
    elif form == "grey":
        image = image.convert("LA")
    file = saved(image, "PNG" if form in ("palette", "grey") else form, **options)
    actual = read(file)
    assert (actual[:, :3] == 0).all()
    assert (actual[:, 3:] == 255).all()
    file.seek(0)
    np.testing.assert_array_equal(read(file, channels=1)[..., 0], actual[..., 0])


def test_a_half_transparent_colour_is_blended_with_white():
    actual = read(saved(Image.new("RGBA", (6, 4), (0, 0, 0, 128)), "PNG"))
    assert (actual == 127).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_rotated_by_its_exif_orientation(orientation):
    upright = np.zeros((4, 6, 3), np.uint8)
    upright[0, 0], upright[0, -1], upright[-1, 0] = 255, 180, 90
    turned = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation](upright)
    image = Image.fromarray(np.ascontiguousarray(turned))
    exif = image.getexif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(read(saved(image, "PNG", exif=exif)), upright)


def test_cmyk_is_converted_to_rgb():
    inks = Image.new("CMYK", (6, 4), (0, 255, 255, 0))
    actual = read(saved(inks, "TIFF"))
    np.testing.assert_array_equal(actual, np.full((4, 6, 3), (255, 0, 0)))


def test_the_first_frame_of_an_animation_is_read():
    few = COLOURS // 128 * 128
    more = [Image.fromarray(255 - few)]
    file = saved(few, "GIF", save_all=True, append_images=more)
    np.testing.assert_array_equal(read(file), few)


def of_twelve_bits():
    file = saved(np.full((4, 6), 4000, np.uint16), "TIFF")
    tag = struct.pack("<HHI", 258, 3, 1)  # BitsPerSample, one short.
    return io.BytesIO(
        file.getvalue().replace(tag + b"\x10\0", tag + b"\x0c\0"),
    )


def from_white_to_black():
    file = saved(np.full((4, 6), 4000, np.uint16), "TIFF")
    tag = struct.pack("<HHI", 262, 3, 1)  # PhotometricInterpretation.
    return io.BytesIO(file.getvalue().replace(tag + b"\1\0", tag + b"\0\0"))


def of_two_pages():
    return saved(COLOURS, "TIFF", save_all=True, append_images=[Image.new("L", (6, 4))])


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (lambda: saved(np.ones((4, 6), np.float32), "TIFF"), "32 bits"),
        (lambda: saved(np.ones((4, 6), np.int32), "TIFF"), "32 bits"),
        (of_twelve_bits, "of 16 bits, .*12"),
        (from_white_to_black, "from black to white"),
        (of_two_pages, "several pages"),
        (lambda: saved(COLOURS[:3], "PNG"), "3 x 6 pixels, not 4 x 6"),
    ],
)
def test_images_that_would_be_read_wrongly_are_refused(file, message):
    with pytest.raises(ValueError, match=message):
        read(file())
