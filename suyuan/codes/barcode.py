"""Pictures to texts and texts to pictures: DataMatrix, GS1 DataMatrix, Code 128, QR (`spec/codes.md` §5)."""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import zxingcpp
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from suyuan.codes import gs1
from suyuan.codes.normalise import normalise

Symbology = Literal["datamatrix", "gs1_datamatrix", "code128", "qr"]

FILE_BYTES_MAX = 50_000_000
PIXELS_MAX = 50_000_000
"""A 48-megapixel phone photo passes; a picture that unpacks to more is refused before it is unpacked."""

_RETRY_PIXELS_MAX = 4_000_000
"""Enlarged or turned copies stay below this, so that a picture without a code is answered in seconds."""

_ANGLES = (12, 24, 36, 48, 60, 75)
"""Linear codes are found up to some 7 degrees off the axes; 2D codes at any angle."""

_READ = (
    zxingcpp.BarcodeFormat.DataMatrix,
    zxingcpp.BarcodeFormat.QRCode,
    zxingcpp.BarcodeFormat.Code128,
    zxingcpp.BarcodeFormat.EANUPC,
    zxingcpp.BarcodeFormat.ITF14,
    zxingcpp.BarcodeFormat.DataBar,
)
"""Symbols used on packages. Others, above all short ITF and Codabar, would be seen in any pattern of lines."""

_SHEET_GAP = 24
_MARGIN_MODULES = 3
_FORMATS = {
    "datamatrix": zxingcpp.BarcodeFormat.DataMatrix,
    "gs1_datamatrix": zxingcpp.BarcodeFormat.DataMatrix,
    "code128": zxingcpp.BarcodeFormat.Code128,
    "qr": zxingcpp.BarcodeFormat.QRCode,
}


class PictureError(ValueError):
    """A picture cannot be read, or a text cannot be drawn; the words say why and what to do."""


class Seen(NamedTuple):
    """One code found in a picture."""

    text: str
    """AIM identifier, then the content with its separators (ASCII 29): what `recognise` takes."""
    symbology: str
    """The reader's name for the symbol, such as `Data Matrix`."""


def read_codes(image: bytes | Path) -> list[Seen]:
    """All codes in a PNG or JPEG, in reading order; an empty list where there is none.

    Raises:
        PictureError: not a readable PNG or JPEG, or one beyond the limits.
    """
    picture = _opened(_bytes_of(image))
    for variant in _variants(picture):
        found = zxingcpp.read_barcodes(
            variant, formats=zxingcpp.BarcodeFormats(_READ), text_mode=zxingcpp.TextMode.Plain
        )
        if found:
            return [Seen(code.symbology_identifier + code.text, str(code.format)) for code in _in_reading_order(found)]
    return []


def draw(text: str, symbology: Symbology = "datamatrix", scale: int = 4) -> bytes:
    """One code as PNG, `scale` pixels a module. For `gs1_datamatrix` the text holds GS1 elements in any spelling.

    Raises:
        PictureError: the symbology cannot hold this text.
    """
    return _png(_drawn(text, symbology, scale))


def draw_sheet(texts: Sequence[str], symbology: Symbology = "datamatrix", columns: int = 4, scale: int = 4) -> bytes:
    """Several codes as one PNG, row by row.

    Raises:
        PictureError: there is no text, or one that the symbology cannot hold.
    """
    if not texts:
        raise PictureError("a sheet needs at least one code")
    pictures = [_drawn(text, symbology, scale) for text in texts]
    width, height = max(one.width for one in pictures) + _SHEET_GAP, max(one.height for one in pictures) + _SHEET_GAP
    rows = -(-len(pictures) // columns)
    sheet = Image.new("L", (width * columns + _SHEET_GAP, height * rows + _SHEET_GAP), 255)
    for place, picture in enumerate(pictures):
        row, column = divmod(place, columns)
        sheet.paste(picture, (_SHEET_GAP + column * width, _SHEET_GAP + row * height))
    return _png(sheet)


def _bytes_of(image: bytes | Path) -> bytes:
    if isinstance(image, bytes):
        data, name = image, "the picture"
    else:
        name = str(image)
        try:
            with image.open("rb") as file:
                data = file.read(FILE_BYTES_MAX + 1)
        except OSError as fault:
            raise PictureError(f"{name}: cannot be read: {fault.strerror or fault}") from None
    if len(data) > FILE_BYTES_MAX:
        raise PictureError(f"{name} has more than {FILE_BYTES_MAX:,} bytes; send a smaller picture")
    return data


def _opened(data: bytes) -> Image.Image:
    """The picture in shades of grey, on white. Only PNG and JPEG decoders ever see the bytes."""
    decoder = PngImageFile if data.startswith(b"\x89PNG") else JpegImageFile if data.startswith(b"\xff\xd8") else None
    if decoder is None:
        raise PictureError(
            f"the picture begins with {data[:4].hex() or 'nothing'}: neither PNG nor JPEG; save it as one of them"
        )
    try:
        picture = decoder(io.BytesIO(data))
        _check_size(picture)
        if "A" in picture.getbands() or "transparency" in picture.info:
            ground = Image.new("RGBA", picture.size, "white")
            return Image.alpha_composite(ground, picture.convert("RGBA")).convert("L")
        return picture.convert("L")
    except PictureError:
        raise
    except Exception as fault:  # noqa: BLE001  decoders raise many kinds on broken bytes, all mean the same to a reader
        raise PictureError(f"the picture is broken: {fault}; take or save it again") from None


def _check_size(picture: Image.Image) -> None:
    if picture.width * picture.height > PIXELS_MAX:
        raise PictureError(
            f"the picture has {picture.width} × {picture.height} pixels, more than {PIXELS_MAX:,}; send a smaller one"
        )


def _variants(picture: Image.Image) -> Iterator[Image.Image]:
    """The picture itself, then copies in which small or turned codes are easier to find."""
    yield picture
    pixels = picture.width * picture.height
    for times in (2, 3):
        if pixels * times * times <= _RETRY_PIXELS_MAX:
            yield picture.resize((picture.width * times, picture.height * times), Image.Resampling.BICUBIC)
    small = picture
    if pixels > _RETRY_PIXELS_MAX:
        shrink = (_RETRY_PIXELS_MAX / pixels) ** 0.5
        small = picture.resize((max(1, int(picture.width * shrink)), max(1, int(picture.height * shrink))))
    for angle in _ANGLES:
        yield small.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=255)


def _in_reading_order(found: list[zxingcpp.Barcode]) -> list[zxingcpp.Barcode]:
    """Rows from top to bottom, each from left to right; a code is in a row if its top is above the row's middle."""

    def box(code: zxingcpp.Barcode) -> tuple[int, int, int]:
        corners = (
            code.position.top_left,
            code.position.top_right,
            code.position.bottom_left,
            code.position.bottom_right,
        )
        ys = [corner.y for corner in corners]
        return min(ys), max(ys), min(corner.x for corner in corners)

    ordered: list[tuple[int, int, zxingcpp.Barcode]] = []
    row, middle = 0, -1
    for code in sorted(found, key=box):
        top, bottom, left = box(code)
        if top > middle:
            row, middle = row + 1, (top + bottom) // 2
        ordered.append((row, left, code))
    return [code for _, _, code in sorted(ordered, key=lambda item: item[:2])]


def _drawn(text: str, symbology: Symbology, scale: int) -> Image.Image:
    is_gs1 = symbology == "gs1_datamatrix"
    content = _bracketed(text) if is_gs1 else text
    try:
        # The library wants GS1 content in brackets and silently ignores options that it does not know.
        code = zxingcpp.create_barcode(content, _FORMATS[symbology], gs1=is_gs1, force_square=True)
        pixels = memoryview(code.to_image(scale=scale))  # type: ignore[arg-type]  # its stubs forget the buffer
    except ValueError as fault:
        raise PictureError(f"{symbology} cannot hold {text[:60]!r}: {fault}") from None
    height, width = pixels.shape or (0, 0)
    margin = _MARGIN_MODULES * scale
    picture = Image.new("L", (width + 2 * margin, height + 2 * margin), 255)
    picture.paste(Image.frombytes("L", (width, height), pixels.tobytes()), (margin, margin))
    return picture


def _bracketed(text: str) -> str:
    """GS1 elements as the drawing library wants them."""
    plain = normalise(text).text
    elements = gs1.parse_bracketed(plain) if gs1.BRACKET.match(plain) else gs1.parse(plain)
    if isinstance(elements, str):
        raise PictureError(f"gs1_datamatrix cannot hold {text[:60]!r}: {elements}")
    if any(bracket in value for value in elements.values() for bracket in "()"):
        raise PictureError(
            f"gs1_datamatrix cannot draw {text[:60]!r}: a value holds a bracket; use symbology datamatrix"
        )
    return gs1.bracketed(elements)


def _png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()
