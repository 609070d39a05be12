"""Any text becomes a code: the recognition order, its examples, and what must hold for every text."""

import csv
import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from suyuan.codes.code import ESCAPE, Code, Context
from suyuan.codes.makers import MakerRule
from suyuan.codes.recognise import TEXT_LENGTH_MAX, recognise

SHARED = Path(__file__).resolve().parents[2].parent / "shared"
GS = "\x1d"
BOX = "gs1:06901234567892:SN0001"

SYSTEM_OF_KIND = {
    "trace20_special": "trace20",
    "sscc_es": "sscc",
    "sscc_bare": "sscc",
    "gs1_es": "gs1",
    "gs1_es_nosep": "gs1",
    "gs1_hri": "gs1",
    "gs1_dl": "gs1",
    "ma_udi": "ma",
    "ma_di": "ma",
    "ahm_udi": "ahm",
    "bad_gtin": "unknown",
    "bad_len": "unknown",
}


def test_every_published_example_is_of_its_kind() -> None:
    table = SHARED / "data" / "code_examples.csv"
    if not table.exists() and os.environ.get("SUYUAN_REQUIRE_SHARED") != "1":
        pytest.skip(f"the shared examples are not beside the project: {table}")
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 23
    for row in rows:
        context: Context = "product" if row["kind"] == "std_code" else "scan"
        code = recognise(row["symbology_id"] + row["code"], context)
        assert code.system == SYSTEM_OF_KIND.get(row["kind"], row["kind"]), row
        assert code.review == (row["kind"] == "gs1_es_nosep"), row


@pytest.mark.parametrize(
    ("rule", "text", "system", "carrier", "key"),
    [
        ("R1", "８1234567890123456789", "trace20", "plain", "trace20:81234567890123456789"),
        ("R2", "(01)06901234567892(17)271231(10)ABC123(21)SN0001", "gs1", "bracketed", BOX),
        ("R2", f"01069012345678921727123110ABC123{GS}21SN0001", "gs1", "element string", BOX),
        ("R2", "]C100069012345678901238", "sscc", "element string", "sscc:069012345678901238"),
        ("R2", f"]d7010690123456789221SN0001{GS}10ABC123", "gs1", "element string", BOX),
        ("R3", "80203961893651826091", "trace20", "plain", "trace20:80203961893651826091"),
        ("R4", "00069012345678901238", "sscc", "element string", "sscc:069012345678901238"),
        ("R5", "MA.156.M0.100204.13351764", "ma", "plain", "ma:MA.156.M0.100204.13351764"),
        ("R6", "MF1234567890123BA240101*SN0001", "ahm", "plain", "ahm:1234567890123:0001"),
        ("R7", "https://id.gs1.org/01/06901234567892/10/ABC123/21/SN0001?17=271231", "gs1", "Digital Link", BOX),
        ("R8", "010690123456789221SN0001", "gs1", "element string", BOX),
        ("R9", "86900166000077", "gtin14", "plain", "gs1:86900166000077"),
        ("R10", "6901234567892", "ean13", "plain", "gs1:06901234567892"),
        ("R10", "16901234567899", "gtin14", "plain", "gs1:16901234567899"),
        ("R10", "069012345678901238", "sscc", "plain", "sscc:069012345678901238"),
        ("R11", "ZD03AAA0043010100166", "nhsa_drug", "plain", "nhsa_drug:ZD03AAA0043010100166"),
        ("R11", "xa11cca351e002010101121", "nhsa_drug", "plain", "nhsa_drug:XA11CCA351E002010101121"),
        ("R11", "C0101010011303807555", "nhsa_cons", "plain", "nhsa_cons:C0101010011303807555"),
        ("R11", "C01010100113038075550000123", "nhsa_cons", "plain", "nhsa_cons:C0101010011303807555"),
        ("R11", "国药准字 HJ20140344", "approval", "plain", "approval:国药准字HJ20140344"),
        ("R11", "H44040200001", "institution", "plain", "institution:H44040200001"),
        ("R12", "ACME-7781-00042", "maker", "plain", "maker:acme:7781:00042"),
        ("R13", "6901234567890", "unknown", "plain", "unknown:6901234567890"),
        ("R13", "8123456789012345678", "unknown", "plain", "unknown:8123456789012345678"),
        ("R19", ESCAPE, "escape", "plain", f"escape:{ESCAPE}"),
    ],
)
def test_the_first_rule_that_fits_names_the_code(rule: str, text: str, system: str, carrier: str, key: str) -> None:
    code = recognise(text, rules=[MakerRule("acme", r"ACME-(?P<product>\d{4})-(?P<serial>\d{5})")])
    assert (code.system, code.carrier, code.key) == (system, carrier, key), rule


@pytest.mark.parametrize(
    "text",
    [
        f"01069012345678921727123110ABC123{GS}21SN0001",
        f"{GS}01069012345678921727123110ABC123{GS}21SN0001{GS}",
        f"]d201069012345678921727123110ABC123{GS}21SN0001",
        "]C1010690123456789221SN0001",
        "01069012345678921727123110ABC123<GS>21SN0001",
        "01069012345678921727123110ABC123{GS}21SN0001",
        "01069012345678921727123110ABC123^]21SN0001",
        "01069012345678921727123110ABC123␝21SN0001",
        "（01）06901234567892（17）271231（10）ABC123（21）SN0001",
        " (01) 06901234567892 (17) 271231 (10) ABC123 (21) SN0001\r\n",
        f"]d2(01)06901234567892{GS}(10)ABC123{GS}(21)SN0001",
        "https://trace.example.cn/app/01/06901234567892/10/ABC123/21/SN0001?17=271231&lang=zh",
        "HTTPS://ID.GS1.ORG/01/06901234567892/21/SN0001",
        "https://example.cn/scan?code=(01)06901234567892(21)SN0001",
        "urn:epc:id:sgtin:6901234.056789.SN0001",
    ],
)
def test_one_box_has_one_key_whatever_carries_it(text: str) -> None:
    code = recognise(text)
    assert (code.key, code.product_key, code.serial, code.review) == (BOX, BOX[:18], "SN0001", False)
    assert code.problems == ()


def test_a_standard_code_is_one_in_a_product_field_and_a_trade_item_in_a_scan_field() -> None:
    product, scan = recognise("86900166000077", "product"), recognise("86900166000077", "scan")
    assert (product.system, product.key, product.problems) == ("std_code", "std_code:86900166000077", ())
    assert (scan.system, scan.product_key) == ("gtin14", "gs1:86900166000077")
    assert scan.problems[0].startswith("ambiguous=std_code")
    assert recognise("86900166000078", "product").system == "unknown"


def test_a_trace_code_marked_as_gs1_stays_a_trace_code_with_a_warning() -> None:
    marked, plain = recognise("]d280203961893651826091"), recognise("]d180203961893651826091")
    assert marked.key == plain.key == "trace20:80203961893651826091"
    assert marked.problems[0].startswith("symbology: ")
    assert (plain.problems, plain.symbology) == ((), "d1")


def is_placeholder(text: str) -> bool:
    return any(problem.startswith("placeholder: ") for problem in recognise(text).problems)


@pytest.mark.parametrize(
    ("typed", "scanned"),
    [
        ("81234560000000000000", "80210000000000000001"),
        ("81234567777777777777", "81234567777777777778"),
        ("00000000000000000000", "00069012345678901238"),
        ("0000000000000", "6901234567892"),
        ("121212121212121", "121212121212123"),
        ("ABC123", "ABC1234"),
        ("12345678901", "12345678902"),
        ("9876543210", "9876543211"),
        ("9" * 19, ESCAPE),
        ("", "81234567890123456789"),
        ("无", "国药准字HJ20140344"),
    ],
)
def test_a_text_typed_to_fill_the_field_is_called_a_placeholder(typed: str, scanned: str) -> None:
    assert is_placeholder(typed)
    assert not is_placeholder(scanned)


def test_a_placeholder_keeps_its_system() -> None:
    assert recognise("81234560000000000000").system == "trace20"
    assert recognise("0000000000000").system == "ean13"
    assert recognise("00000000000000000000").system == "sscc"


@pytest.mark.parametrize("text", ["8.1234E+19", "8,12345678901235e+19", "8E+19", "81234567890123460000.0"])
def test_a_number_rounded_by_a_spreadsheet_is_named_and_says_what_to_do(text: str) -> None:
    code = recognise(text)
    assert (code.system, code.key) == ("unknown", f"unknown:{text}")
    assert code.problems[0].startswith("spreadsheet: ")
    assert "as text" in code.problems[0]


def test_five_zeros_at_the_end_are_a_warning_and_no_refusal() -> None:
    rounded, whole = recognise("81234567890123400000"), recognise("81234567890123400001")
    assert rounded.system == whole.system == "trace20"
    assert rounded.problems[0].startswith("spreadsheet: ")
    assert whole.problems == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("6901234567890", "check digit: EAN-13 6901234567890 ends in 0, its digits ask for 2"),
        ("069012345678901230", "check digit: SSCC"),
        ("00069012345678901230", "check digit: SSCC"),
        ("(01)06901234567890(21)A", "check digit: GTIN"),
        ("8123456789012345678", "length: 19 digits"),
        ("812345678901234567890", "length: 21 digits"),
        ("(01)06901234567892(5555)A", "GS1: (5555)"),
        ("(10)ABC(21)SN0001", "GS1: neither a trade item (01) nor a logistic unit (00)"),
        ("MA.156.M0.1.2", "MA: "),
        ("MF12345678", "AHM: "),
        ("urn:epc:id:sgtin:0614141.1.2", "EPC: "),
        ("x" * (TEXT_LENGTH_MAX + 1), "length: 4001 characters"),
    ],
)
def test_an_unknown_text_says_why(text: str, words: str) -> None:
    code = recognise(text)
    assert code.system == "unknown"
    assert code.problems[0].startswith(words)


def test_swapped_capitals_are_hinted_at_and_nothing_is_changed() -> None:
    identifier = recognise("]D20106901234567892" + "21sn0001")
    assert identifier.key == "gs1:06901234567892:sn0001"
    assert [problem[:6] for problem in identifier.problems] == ["case: ", "case: "]
    assert recognise("]d2010690123456789221Sn0001").problems == ()


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("https://example.cn/t?c=81234567890123456789", "trace20:81234567890123456789"),
        ("http://example.cn/q/81234567890123456789/", "trace20:81234567890123456789"),
        ("www.example.cn/q?81234567890123456789", "trace20:81234567890123456789"),
        ("https://example.cn/#81234567890123456789", "trace20:81234567890123456789"),
        ("https://example.cn/t?t=1700000000000&c=8123456-7890123456789", "trace20:81234567890123456789"),
        ("https://example.cn/?udi=ma.156.m0.100204.13351764", "ma:MA.156.M0.100204.13351764"),
        ("https://example.cn/?c=%EF%BC%98" + "1234567890123456789", "trace20:81234567890123456789"),
    ],
)
def test_a_code_inside_an_ordinary_address_is_found(address: str, key: str) -> None:
    code = recognise(address)
    assert (code.key, code.carrier) == (key, "URL")


@pytest.mark.parametrize(
    "address",
    [
        "https://example.cn/about",
        "https://example.cn",
        "https://id.gs1.org/414/4012345000085",
        "https://id.gs1.org/8004/4012345abc",
        "https://id.gs1.org/01/06901234567890/21/81234567890123456789",
        "https://id.gs1.org/01/06901234567892/21",
        "https://id.gs1.org/01/06901234567892/99999/A",
        "https://[broken/01/06901234567890",
        "urn:epc:id:sgln:0614141.07346.1234",
        "urn:epc:id:sgtin:0614141.107346",
        "urn:epc:idpat:sgtin:0614141.107346.1",
    ],
)
def test_an_address_without_a_package_stays_unknown_under_its_own_text(address: str) -> None:
    code = recognise(address)
    assert (code.system, code.key) == ("unknown", f"unknown:{address}")


def test_a_registered_maker_may_claim_a_whole_address_but_no_code_of_a_known_system() -> None:
    rule = MakerRule("acme", r"https://acme\.example/.*")
    assert recognise("https://acme.example/v/778-42", rules=[rule]).key == "maker:acme:https://acme.example/v/778-42"
    assert recognise("https://acme.example/v/81234567890123456789", rules=[rule]).system == "trace20"


def test_long_and_dirty_texts_keep_a_short_clean_key_and_do_not_become_one() -> None:
    one, other = recognise("A" * 300 + "x"), recognise("A" * 300 + "y")
    assert len(one.text) == len(other.text) == 200
    assert one.key != other.key
    huge, huger = recognise("B" * 5_000_000), recognise("B" * 5_000_001)
    assert huge.key != huger.key
    assert recognise("AB\x00C\x07D\x9eE\u200bFG\ud800H").key == "unknown:ABCDEFG?H"


ANY_TEXT = st.one_of(
    st.text(st.characters(codec=None), max_size=60),
    st.text("0123456789()[]{}<>GS \x1d.:/?=&%*-+eEMAFBSNhtps]d2C1码号药品标识序列'\"", max_size=60),
    st.from_regex(r"(\](d2|C1))?01[0-9]{14}(10|21|17)[0-9A-Z\x1d(]{0,30}", fullmatch=True),
    st.binary(max_size=60).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.binary(max_size=60).map(lambda raw: raw.decode("gb18030", "replace")),
)


@given(ANY_TEXT, st.sampled_from(["scan", "product"]))
@example("", "scan")
@example("\ud800", "scan")
@example("²" * 20, "scan")
@example("٨" * 20, "scan")
@example("''\"abc\"", "scan")
@example("]d2]C1abc", "scan")
def test_any_text_gives_a_storable_code_that_reads_as_itself_again(text: str, context: Context) -> None:
    code = recognise(text, context)
    assert isinstance(code, Code)
    assert code.key
    assert len(code.text) <= max(200, len(text) + 1)
    (code.key + code.text + "".join(code.problems)).encode()
    again = recognise(code.text, context)
    assert (again.key, again.text, again.review, again.readings) == (code.key, code.text, code.review, code.readings)


@given(st.integers(0, 10**19 - 1), st.sampled_from(["", " ", "-", "－", "—", "\u3000", "\ufeff"]))
def test_a_trace_code_is_read_through_blanks_hyphens_and_full_width_digits(number: int, gap: str) -> None:
    text = f"8{number:019d}"
    full_width = text.translate({ord(str(digit)): 0xFF10 + digit for digit in range(10)})
    for shown in (text, full_width, f"{text[:7]}{gap}{text[7:]}", f"药品标识码：{text[:7]} 序列号：{text[7:]}"):
        assert recognise(shown).key == f"trace20:{text}"
