"""GS1 elements: check digits, dates, separators kept and lost, addresses and URNs; biip as the oracle."""

from datetime import date
from urllib.parse import quote

import biip
import pytest
from biip.gs1_application_identifiers import GS1ApplicationIdentifier
from hypothesis import assume, given
from hypothesis import strategies as st

from suyuan.codes import gs1
from suyuan.codes.check_digit import check_digit, has_valid_check_digit
from suyuan.codes.dates import iso_date
from suyuan.codes.lost_separator import second_readings
from suyuan.codes.recognise import recognise

GS = "\x1d"
SET_82 = "".join(chr(point) for point in range(0x21, 0x7B) if chr(point) not in "#$@[\\]^`")

gtins = st.integers(0, 10**13 - 1).map(lambda n: f"{n:013d}").map(lambda body: body + check_digit(body))
values = st.text(SET_82, min_size=1, max_size=20).filter(lambda value: "<GS>" not in value.upper())
dates = st.dates(date(2000, 1, 1), date(2049, 12, 31))


@st.composite
def packages(draw: st.DrawFn) -> gs1.Elements:
    """A trade item with any of lot, serial, expiry and production date, in any order behind the GTIN."""
    elements = {}
    if draw(st.booleans()):
        elements["10"] = draw(values)
    if draw(st.booleans()):
        elements["21"] = draw(values)
    for ai in ("17", "11"):
        if draw(st.booleans()):
            day = draw(dates)
            elements[ai] = day.strftime("%y%m00" if draw(st.booleans()) else "%y%m%d")
    order = draw(st.permutations(sorted(elements)))
    return {"01": draw(gtins)} | {ai: elements[ai] for ai in order}


def element_string(elements: gs1.Elements) -> str:
    """Our own writer for the tests: a separator behind each open value, whatever the order."""
    return "".join(ai + value + (GS if ai in {"10", "21"} else "") for ai, value in elements.items())


@pytest.mark.parametrize("number", ["06901234567892", "16901234567899", "6901234567892", "069012345678901238"])
def test_a_right_check_digit_passes_and_every_other_fails(number: str) -> None:
    assert has_valid_check_digit(number)
    assert [digit for digit in "0123456789" if has_valid_check_digit(number[:-1] + digit)] == [number[-1]]


@pytest.mark.parametrize(
    ("written", "iso"),
    [
        ("271231", "2027-12-31"),
        ("240200", "2024-02-29"),
        ("250200", "2025-02-28"),
        ("251200", "2025-12-31"),
        ("990101", "2099-01-01"),
        ("20271231", "2027-12-31"),
        ("2027-12-31", "2027-12-31"),
        ("271301", ""),
        ("270001", ""),
        ("270230", ""),
        ("00000101", ""),
        ("27123", ""),
        ("", ""),
        ("二七一二三一", ""),
        ("²71231", ""),
    ],
)
def test_dates_become_iso_with_day_00_as_the_last_of_the_month(written: str, iso: str) -> None:
    assert iso_date(written) == iso


def test_a_date_that_is_none_is_named_and_does_not_change_whose_box_it_is() -> None:
    good, bad = recognise("(01)06901234567892(17)270228(21)S1"), recognise("(01)06901234567892(17)270230(21)S1")
    assert good.key == bad.key
    assert (good.expiry, bad.expiry) == ("2027-02-28", "")
    assert bad.problems == ("date: (17) 270230 is no day of a month; the code is read without it",)


def test_the_table_of_identifiers_agrees_with_the_oracle() -> None:
    for ai, rule in gs1._RULES.items():
        theirs = GS1ApplicationIdentifier.extract(ai)
        assert theirs.separator_required is not rule.predefined, ai
        kind, lengths = rule.written[0], rule.written[1:]
        if "-" not in lengths:
            assert theirs.format.endswith(f"+{kind.upper()}{lengths}"), ai
        elif lengths.startswith("1-"):
            assert theirs.format.endswith(f"+{kind.upper()}..{lengths[2:]}"), ai


@given(packages())
def test_element_strings_read_as_the_oracle_reads_them(elements: gs1.Elements) -> None:
    text = element_string(elements)
    code = recognise("]d2" + text)
    theirs = biip.parse("]d2" + text.rstrip(GS)).gs1_message
    assert theirs is not None
    read = {element.ai.ai: element for element in theirs.element_strings}
    days = {ai: str(element.date) for ai, element in read.items() if element.date}
    assert code.product_key == f"gs1:{read['01'].value}"
    assert code.serial == (read["21"].value if "21" in read else "")
    if not code.review:
        assert code.lot == (read["10"].value if "10" in read else "")
    assert (code.expiry, code.made) == (days.get("17", ""), days.get("11", ""))


@given(packages())
def test_every_carrier_of_a_package_gives_the_same_code(elements: gs1.Elements) -> None:
    whole = recognise(GS + element_string(elements))
    assert not whole.review
    path = "".join(f"/{ai}/{quote(elements[ai], safe='')}" for ai in ("01", "10", "21") if ai in elements)
    query = "&".join(f"{ai}={elements[ai]}" for ai in ("17", "11") if ai in elements)
    carriers = [gs1.element_string(elements), whole.text, f"https://id.gs1.org{path}?{query}"]
    if not any("(" in value for value in elements.values()):
        carriers.append(gs1.bracketed(elements))
    assert {(code.key, code.text, code.lot, code.expiry, code.made) for code in map(recognise, carriers)} == {
        (whole.key, whole.text, whole.lot, whole.expiry, whole.made)
    }


@given(gtins, values, values)
def test_keys_of_different_boxes_and_lots_differ_even_with_colons_and_slashes(gtin: str, one: str, other: str) -> None:
    assume(one != other)
    texts = [f"{GS}01{gtin}{rest}" for rest in ("", f"10{one}", f"10{other}", f"21{one}", f"21{other}")]
    keys = [recognise(text).key for text in texts]
    assert len(set(keys)) == 5
    assert keys[3].split(":", 2) == ["gs1", gtin, one]
    assert keys[1].removeprefix("lot:").split(":", 2) == ["gs1", gtin, one]


@pytest.mark.parametrize(
    ("text", "literal", "meant"),
    [
        ("010690123456789210ABC12321SN0001", "lot:gs1:06901234567892:ABC12321SN0001", "gs1:06901234567892:SN0001"),
        ("]d2010690123456789210ABC12321SN0001", "lot:gs1:06901234567892:ABC12321SN0001", "gs1:06901234567892:SN0001"),
        (
            "010697059381010910N053000117230527",
            "lot:gs1:06970593810109:N053000117230527",
            "lot:gs1:06970593810109:N0530001",
        ),
        ("010690123456789221SN000117271231", "gs1:06901234567892:SN000117271231", "gs1:06901234567892:SN0001"),
        ("010690123456789210A00111270100", "lot:gs1:06901234567892:A00111270100", "lot:gs1:06901234567892:A001"),
        (
            "010690123456789210ABC1721SN00011727123111250101",
            "unknown:010690123456789210ABC1721SN00011727123111250101",
            "gs1:06901234567892:SN0001",
        ),
        (
            "0106901234567892112501011727123110AB1234567821SN0000000001",
            "unknown:0106901234567892112501011727123110AB1234567821SN0000000001",
            "gs1:06901234567892:SN0000000001",
        ),
    ],
)
def test_a_lost_separator_is_put_under_review_with_both_readings(text: str, literal: str, meant: str) -> None:
    code = recognise(text)
    assert (code.system, code.review) == ("gs1", True)
    assert code.readings[:2] == (literal, meant)
    assert code.key == literal
    assert code.problems[0].startswith("separator lost: ")
    assert recognise(code.text).readings == code.readings


@pytest.mark.parametrize(
    "text",
    [
        "010690123456789210ABC12321",
        "010690123456789210ABC21SN00",
        "010690123456789210ABCDEFGH2112",
        "010690123456789210ABCDEF17991231",
        "010690123456789210ABCDEFG17271331",
        "010690123456789217271231213421SN000123",
        f"010690123456789210ABC12321SN0001{GS}",
        "(01)06901234567892(10)ABC12321SN0001",
        "https://id.gs1.org/01/06901234567892/10/ABC12321SN0001",
        "010690123456789221ABC12321SN0001",
        "0106901234567892240ABC12321SN0001",
    ],
)
def test_a_text_with_one_plausible_reading_is_not_under_review(text: str) -> None:
    code = recognise(text)
    assert (code.system, code.review, code.readings) == ("gs1", False, ())


def test_a_text_too_long_for_its_identifier_and_without_second_reading_is_unknown() -> None:
    assert recognise("010690123456789210" + "A" * 21).problems[0].startswith("GS1: (10)")
    assert second_readings("010690123456789210" + "A" * 200) == []


@given(gtins, st.text("ABCDEFGH3456789", min_size=4, max_size=10), st.text("ABCDEFGH3456789", min_size=5, max_size=12))
def test_the_true_box_is_always_among_the_readings_of_a_text_that_lost_its_separator(
    gtin: str, lot: str, serial: str
) -> None:
    code = recognise(f"01{gtin}1727123110{lot}21{serial}")
    assert code.review == (len(lot) + len(serial) + 2 > 10)
    assert not code.review or f"gs1:{gtin}:{serial}" in code.readings


@pytest.mark.parametrize(
    ("urn", "address"),
    [
        ("urn:epc:id:sgtin:0614141.107346.2018", "https://id.gs1.org/01/10614141073464/21/2018"),
        ("urn:epc:id:sgtin:0614141.712345.A%2FB", "https://id.gs1.org/01/70614141123451/21/A%2FB"),
        ("urn:epc:id:sscc:4012345.0111111112", "https://id.gs1.org/00/040123451111111127"),
        ("urn:epc:class:lgtin:4012345.012345.998877", "https://id.gs1.org/01/04012345123456/10/998877"),
        ("urn:epc:idpat:sgtin:4012345.066666.*", "https://id.gs1.org/01/04012345666663"),
        ("URN:EPC:ID:SGTIN:952001.1012345.22222223333", "https://id.gs1.org/01/19520010123455/21/22222223333"),
    ],
)
def test_an_epc_urn_and_a_digital_link_name_the_same_package(urn: str, address: str) -> None:
    ours, linked = recognise(urn), recognise(address)
    assert ours.key == linked.key
    assert ours.system == linked.system != "unknown"
    assert (ours.carrier, linked.carrier) == ("plain", "Digital Link")


@pytest.mark.parametrize(
    "text",
    [
        f"01069012345678{GS}",
        "0106901234567892zz",
        "010690123456789210",
        "010690123456789210AB C",
        "010690123456789217ABCDEF",
        f"010690123456789210A{GS}10B",
        "(01)06901234567892(10)A(10)B",
        "(01)",
        f"10A{GS}21B",
        "https://id.gs1.org/01/06901234567892/10/" + "A" * 21,
    ],
)
def test_elements_that_do_not_fit_make_no_gs1_code(text: str) -> None:
    assert recognise(text).system == "unknown"


def test_the_same_element_twice_is_one_element() -> None:
    assert recognise(f"010690123456789210A{GS}10A{GS}21B").key == "gs1:06901234567892:B"


def test_a_carton_is_named_by_its_sscc_whatever_else_stands_beside_it() -> None:
    code = recognise(f"]C100069012345678901238021690123456789937100{GS}10A1")
    assert (code.system, code.key, code.lot) == ("sscc", "sscc:069012345678901238", "")
    assert code.is_box
