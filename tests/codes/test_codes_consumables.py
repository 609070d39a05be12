"""MA and AHM codes on consumables, and makers' own schemes."""

import pytest

from suyuan.codes.makers import MakerRule
from suyuan.codes.recognise import recognise

MA = "MA.156.M0.100761.21234561"


def test_a_full_ma_code_gives_serial_lot_and_dates() -> None:
    code = recognise(f"{MA}.SX00008.M220117.L20220117.D20220118.E220130.V220117.C3")
    assert (code.key, code.product_key) == (f"ma:{MA}:X00008", f"ma:{MA}")
    assert (code.serial, code.lot, code.made, code.expiry) == ("X00008", "20220117", "2022-01-17", "2022-01-30")
    assert code.problems == ()


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (MA.lower(), f"ma:{MA}"),
        (f"{MA}.L20220117", f"lot:ma:{MA}:20220117"),
        (f"{MA}.SA:B/1", f"ma:{MA}:A:B/1"),
        ("MA.156.1003.16291", "ma:MA.156.1003.16291"),
        ("MA.156.1003.16291.77.SA1", "ma:MA.156.1003.16291.77:A1"),
        (f'<UDI IAC="MA"><DI>{MA}</DI><SN>x1</SN><MFG>20220117</MFG><LOT>L9</LOT></UDI>', f"ma:{MA}:X1"),
        (f"https://example.cn/udi?code={MA}.SX1", f"ma:{MA}:X1"),
    ],
)
def test_ma_codes_are_read_in_every_form(text: str, key: str) -> None:
    code = recognise(text)
    assert (code.system, code.key) == ("ma", key)
    assert recognise(code.text).key == key


@pytest.mark.parametrize(
    "text",
    [
        "MA.156",
        "MA.156.M0.10076.21234561",
        "MA.ABC.1003.16291",
        f"{MA}.X1",
        f"{MA}.",
        '<UDI IAC="MA"/>',
        f'<UDI IAC="MA"><DI>{MA}</DI><SN>A.L1</SN></UDI>',
        '<UDI IAC="GS1"><DI>1</DI></UDI>',
    ],
)
def test_a_broken_ma_code_is_unknown(text: str) -> None:
    assert recognise(text).system == "unknown"


def test_a_date_that_is_none_leaves_an_ma_or_ahm_code_readable() -> None:
    for text, key in ((f"{MA}.SX1.E221340", f"ma:{MA}:X1"), ("MF1234567890123SNX1*ED221340", "ahm:1234567890123:X1")):
        code = recognise(text)
        assert (code.key, code.expiry) == (key, "")
        assert code.problems[0].startswith("date: 221340")


@pytest.mark.parametrize(
    ("text", "key", "lot", "expiry", "made"),
    [
        ("MF1234567890123BA240101*SN0001", "ahm:1234567890123:0001", "240101", "", ""),
        ("mf1234567890123ba240101*sn0001*", "ahm:1234567890123:0001", "240101", "", ""),
        ("MF12345678MD240101ED270131BAL1*SNA1", "ahm:12345678:A1", "L1", "2027-01-31", "2024-01-01"),
        ("MF1234567890123BA240101", "lot:ahm:1234567890123:240101", "240101", "", ""),
        ("MF1234567890123", "ahm:1234567890123", "", "", ""),
        ("MF1234567890123PL1SNX:1", "ahm:1234567890123:X:1", "", "", ""),
    ],
)
def test_ahm_codes_give_identifier_and_fields(text: str, key: str, lot: str, expiry: str, made: str) -> None:
    code = recognise(text)
    assert (code.system, code.key, code.lot, code.expiry, code.made) == ("ahm", key, lot, expiry, made)


@pytest.mark.parametrize("text", ["MF123456", "MF1234567890123XX1", "MF12345678901234BA1", "MFG LOT 12", "MANUAL.12"])
def test_a_broken_ahm_code_is_unknown(text: str) -> None:
    assert recognise(text).system == "unknown"


def test_a_maker_rule_names_serial_product_and_lot() -> None:
    rule = MakerRule("acme", r"A;(?P<product>[^;]+);(?P<lot>[^;]*);(?P<serial>[^;]+)")
    code = recognise("A;p:1%;L7;S:9", rules=[rule])
    assert (code.system, code.serial, code.lot) == ("maker", "S:9", "L7")
    assert (code.product_key, code.key) == ("maker:acme:p%3A1%25", "maker:acme:p%3A1%25:S:9")
    assert recognise("A;p;L7", rules=[rule]).system == "unknown"


def test_a_maker_rule_without_product_or_serial_files_under_what_it_has() -> None:
    serial, whole = MakerRule("s", r"S-(?P<serial>\d{6})(?P<lot>L)?"), MakerRule("w", r"W-\d{6}")
    assert recognise("S-000123", rules=[serial, whole]).key == "maker:s:000123"
    assert recognise("W-000123", rules=[serial, whole]).key == "maker:w:W-000123"
    assert recognise("S-000123", rules=[serial]).lot == ""
    assert recognise("W-000123", rules=[whole]).is_box


def test_the_first_registered_rule_wins_and_known_systems_come_before_all() -> None:
    rules = [MakerRule("one", r".+"), MakerRule("two", r".+")]
    assert recognise("ABCDEFGH", rules=rules).key == "maker:one:ABCDEFGH"
    assert recognise("6901234567892", rules=rules).system == "ean13"
    assert recognise("x" * 201, rules=rules).system == "unknown"


@pytest.mark.parametrize(
    ("scheme", "pattern", "words"),
    [
        ("a:b", r".+", "maker scheme 'a:b': use"),
        ("", r".+", "maker scheme '': use"),
        ("acme", r"(", "is no regular expression"),
        ("acme", r"(?P<batch>.+)", "unknown group 'batch'"),
    ],
)
def test_a_rule_that_cannot_be_used_is_refused_with_words(scheme: str, pattern: str, words: str) -> None:
    with pytest.raises(ValueError, match="maker scheme") as refusal:
        MakerRule(scheme, pattern)
    assert words in str(refusal.value)
