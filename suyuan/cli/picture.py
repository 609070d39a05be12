"""Codes from pictures, with the picture named in what is said about it."""

from pathlib import Path

from suyuan.cli.output import Unreadable


def texts_in(path: Path) -> list[str]:
    """The texts of all codes in a PNG or JPEG, in reading order.

    Raises:
        Unreadable: it is no picture, is broken, or shows no code.
    """
    from suyuan.codes.barcode import PictureError, read_codes  # noqa: PLC0415  the image library is slow to load

    try:
        seen = read_codes(path)
    except PictureError as error:
        words = str(error)
        raise Unreadable(words if words.startswith(str(path)) else f"{path}: {words}") from error
    if not seen:
        raise Unreadable(f"{path}: no barcode found; take the picture closer, straight and in good light")
    return [one.text for one in seen]
