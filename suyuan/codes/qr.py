"""QR codes for paper and screen at error level M: an SVG of one path, and a PNG of whole pixels."""

import io

import zxingcpp
from PIL import Image

from suyuan.codes.barcode import PictureError

MARGIN = 4
"""Quiet modules on each side, as the standard asks for."""


def qr_svg(text: str) -> str:
    """The code as an SVG of one path that any size of print keeps sharp.

    Raises:
        PictureError: the text is too long for a QR code.
    """
    rows = _modules(text)
    size = len(rows) + 2 * MARGIN
    path = "".join(
        f"M{column + MARGIN} {line + MARGIN}h{length}v1h-{length}z"
        for line, row in enumerate(rows)
        for column, length in _runs(row)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" shape-rendering="crispEdges">'
        f'<path fill="#fff" d="M0 0h{size}v{size}H0z"/><path fill="#000" d="{path}"/></svg>'
    )


def qr_png(text: str, scale: int = 4) -> bytes:
    """The code as PNG, `scale` pixels a module, in black and white.

    Raises:
        PictureError: the text is too long for a QR code.
    """
    rows = _modules(text)
    size = len(rows) + 2 * MARGIN
    picture = Image.new("1", (size, size), 1)
    for line, row in enumerate(rows):
        for column, dark in enumerate(row):
            if dark:
                picture.putpixel((column + MARGIN, line + MARGIN), 0)
    file = io.BytesIO()
    picture.resize((size * scale, size * scale), Image.Resampling.NEAREST).save(file, "PNG")
    return file.getvalue()


def _modules(text: str) -> list[list[bool]]:
    """Rows of dark modules, without the margin."""
    try:
        code = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
        pixels = memoryview(code.to_image(scale=1, add_quiet_zones=False))  # type: ignore[arg-type]  # its stubs forget the buffer
    except ValueError as fault:
        raise PictureError(f"no QR code can hold {len(text)} characters: {fault}") from None
    height, width = pixels.shape or (0, 0)
    flat = pixels.tobytes()
    rows = [[value == 0 for value in flat[line * width : (line + 1) * width]] for line in range(height)]
    dark = [line for line, row in enumerate(rows) if any(row)]
    left, right = (min(row.index(True) for row in rows if any(row)), _last(rows))
    return [row[left : right + 1] for row in rows[dark[0] : dark[-1] + 1]]


def _last(rows: list[list[bool]]) -> int:
    return max(len(row) - 1 - row[::-1].index(True) for row in rows if any(row))


def _runs(row: list[bool]) -> list[tuple[int, int]]:
    """Where dark modules begin, and how many follow each other."""
    runs: list[tuple[int, int]] = []
    for column, dark in enumerate(row):
        if dark and runs and sum(runs[-1]) == column:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        elif dark:
            runs.append((column, 1))
    return runs
