"""Pictures of codes: drawn and read back, several on a sheet, turned, small, and any bytes at all."""

import contextlib
import io
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from suyuan.codes import barcode
from suyuan.codes.barcode import PictureError, Symbology, draw, draw_sheet, read_codes
from suyuan.codes.recognise import recognise

TRACE = "81234567890123456789"
BOX = "(01)06901234567892(17)271231(10)ABC123(21)SN0001"


def as_bytes(picture: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    picture.save(file, kind)
    return file.getvalue()


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


@pytest.mark.parametrize(
    ("symbology", "text", "identifier", "key"),
    [
        ("datamatrix", TRACE, "]d1", f"trace20:{TRACE}"),
        ("gs1_datamatrix", BOX, "]d2", "gs1:06901234567892:SN0001"),
        ("gs1_datamatrix", "01069012345678921727123110ABC123<GS>21SN0001", "]d2", "gs1:06901234567892:SN0001"),
        ("code128", TRACE, "]C0", f"trace20:{TRACE}"),
        ("qr", "https://id.gs1.org/01/06901234567892/21/SN0001", "]Q1", "gs1:06901234567892:SN0001"),
        ("qr", "追溯码一二三", "]Q1", "unknown:追溯码一二三"),
    ],
)
def test_what_is_drawn_is_read_back(symbology: Symbology, text: str, identifier: str, key: str) -> None:
    seen = read_codes(draw(text, symbology))
    assert [one.text[:3] for one in seen] == [identifier]
    code = recognise(seen[0].text)
    assert (code.key, code.review, code.symbology) == (key, False, identifier[1:])


def test_separators_survive_the_picture() -> None:
    assert read_codes(draw(BOX, "gs1_datamatrix"))[0].text == "]d201069012345678921727123110ABC123\x1d21SN0001"


@pytest.mark.parametrize("symbology", ["datamatrix", "code128", "qr"])
def test_all_codes_of_a_sheet_are_read_in_order(symbology: Symbology) -> None:
    texts = [f"8123456{number:013d}" for number in range(7, 30)]
    assert [one.text[3:] for one in read_codes(draw_sheet(texts, symbology))] == texts


@pytest.mark.parametrize("symbology", ["datamatrix", "code128", "qr"])
@pytest.mark.parametrize("angle", [0, 20, 33, 80, 90, 180])
def test_turned_pictures_are_read(symbology: Symbology, angle: int) -> None:
    turned = opened(draw(TRACE, symbology)).rotate(angle, expand=True, fillcolor=255)
    assert [one.text[3:] for one in read_codes(as_bytes(turned, "JPEG"))] == [TRACE]


def test_a_picture_too_small_to_read_at_once_is_enlarged() -> None:
    picture = opened(draw(TRACE, "code128", scale=1))
    small = picture.resize((picture.width, 12))
    assert [one.text[3:] for one in read_codes(as_bytes(small))] == [TRACE]


def test_a_picture_beyond_the_size_of_retries_is_turned_at_a_smaller_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(barcode, "_RETRY_PIXELS_MAX", 500 * 500)
    turned = opened(draw(TRACE, "code128", scale=6)).rotate(33, expand=True, fillcolor=255)
    assert turned.width * turned.height > 500 * 500
    assert [one.text[3:] for one in read_codes(as_bytes(turned))] == [TRACE]


def test_transparent_and_coloured_pictures_are_read() -> None:
    black = opened(draw(TRACE))
    ink = Image.new("RGBA", black.size, (0, 0, 0, 0))
    ink.paste((20, 20, 60, 255), mask=black.point(lambda shade: 255 - shade))
    assert len(read_codes(as_bytes(ink))) == len(read_codes(as_bytes(black.convert("RGB")))) == 1


def test_a_picture_without_a_code_gives_none() -> None:
    assert read_codes(as_bytes(Image.new("L", (300, 200), 200))) == []
    assert read_codes(as_bytes(Image.new("1", (1, 1)))) == []


def test_a_file_is_read_and_a_missing_one_refused_with_words(tmp_path: Path) -> None:
    file = tmp_path / "box.png"
    file.write_bytes(draw(TRACE))
    assert len(read_codes(file)) == 1
    for missing in (tmp_path / "none.png", tmp_path):
        with pytest.raises(PictureError, match="cannot be read"):
            read_codes(missing)


def test_a_picture_beyond_the_limits_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PictureError, match="more than 50,000,000; send a smaller one"):
        read_codes(as_bytes(Image.new("1", (8000, 7000))))
    monkeypatch.setattr(barcode, "FILE_BYTES_MAX", 100)
    with pytest.raises(PictureError, match="more than 100 bytes"):
        read_codes(draw(TRACE))


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"%PDF-1.7", TRACE.encode()])
def test_other_files_are_refused_with_words(data: bytes) -> None:
    with pytest.raises(PictureError, match="neither PNG nor JPEG"):
        read_codes(data)


GOOD = [draw(TRACE), as_bytes(opened(draw(TRACE)), "JPEG")]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(GOOD), st.integers(0, 2**32), st.integers(0, 40))
def test_any_bytes_give_codes_or_a_clear_refusal(good: bytes, seed: int, hits: int) -> None:
    dice = random.Random(seed)
    data = bytearray(good[: dice.randrange(len(good) // 2, len(good) + 1)])
    for _ in range(hits):
        data[dice.randrange(3, len(data))] = dice.randrange(256)
    with contextlib.suppress(PictureError):
        assert all(recognise(one.text).key for one in read_codes(bytes(data)))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0"]), st.binary(max_size=300))
def test_garbage_behind_any_signature_is_refused(signature: bytes, garbage: bytes) -> None:
    with pytest.raises(PictureError):
        read_codes(signature + garbage)


@pytest.mark.parametrize(
    ("text", "symbology", "words"),
    [
        ("", "qr", "qr cannot hold ''"),
        ("追溯码", "code128", "code128 cannot hold"),
        ("x" * 5000, "datamatrix", "datamatrix cannot hold"),
        ("SN0001", "gs1_datamatrix", "gs1_datamatrix cannot hold 'SN0001': GS1: 'SN'"),
        ("(01)06901234567892(10)A((B", "gs1_datamatrix", "a value holds a bracket"),
    ],
)
def test_what_a_symbol_cannot_hold_is_refused_with_words(text: str, symbology: Symbology, words: str) -> None:
    with pytest.raises(PictureError) as refusal:
        draw(text, symbology)
    assert words in str(refusal.value)


def test_a_sheet_without_codes_is_refused() -> None:
    with pytest.raises(PictureError, match="at least one code"):
        draw_sheet([])
