"""Photos that citizens send: recognised by their bytes and drawn anew, so that place, camera and tricks stay behind."""

import io

from PIL import Image, ImageOps

SIDE_MAX = 2000
"""Pixels of the longer side that are kept: the print on a box stays readable."""
PIXELS_MAX = {"JPEG": 89_000_000}
"""A phone's largest picture passes: JPEG is unpacked at a smaller scale at once."""
_PIXELS_MAX_ELSE = 25_000_000
PHOTO_BYTES_MAX = 8_000_000
QUALITY = 82
_FORMATS = ("JPEG", "PNG", "WEBP")
_HEIF = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftyphevc")


class PhotoRefused(ValueError):  # noqa: N818  the sender's word for it
    """A picture that cannot be taken; the words say why and what to do."""


def clean_photo(raw: bytes) -> bytes:
    """The picture as a JPEG without any data about it, upright, no larger than is needed.

    Raises:
        PhotoRefused: no picture, one of another format, too large, or broken.
    """
    if len(raw) > PHOTO_BYTES_MAX:
        raise PhotoRefused("This photo is larger than 8 MB: choose a smaller size.")
    if raw[4:12] in _HEIF:
        raise PhotoRefused("This photo is in HEIC format: send it as JPEG.")
    try:
        # The name and the stated type of a file prove nothing: the bytes are looked at, by three decoders only.
        picture = Image.open(io.BytesIO(raw), formats=_FORMATS)
        _check_size(picture)
        picture.draft("RGB", (SIDE_MAX, SIDE_MAX))
        upright = ImageOps.exif_transpose(picture)
        upright.thumbnail((SIDE_MAX, SIDE_MAX))
        ground = Image.new("RGB", upright.size, "white")
        coloured = upright.convert("RGBA")
        ground.paste(coloured, mask=coloured.getchannel("A"))
    except PhotoRefused:
        raise
    except Exception as fault:
        raise PhotoRefused("This file is no photo that can be read: send JPEG, PNG or WebP.") from fault
    file = io.BytesIO()
    ground.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _check_size(picture: Image.Image) -> None:
    """Before it is unpacked: a small file may hold a picture that fills the memory."""
    if picture.width * picture.height > PIXELS_MAX.get(picture.format or "", _PIXELS_MAX_ELSE):
        raise PhotoRefused("This photo has too many pixels: choose a smaller size.")
