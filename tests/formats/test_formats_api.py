"""Our own JSON: no line is lost without a word, whatever stands in it, and no bytes end in a failure."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suyuan.formats.api.answers import yuan
from suyuan.formats.api.documents import SHAPES, read, read_cancel, read_claim, read_reversal
from suyuan.formats.document import Document
from suyuan.settlement.claim import Claim

VALUES: st.SearchStrategy[Any] = st.one_of(
    st.text(max_size=30),
    st.sampled_from(
        ["82345671000000000001", "8.1E+19", "", " ", "1", "13.80", "-1", "2026-03-09T10:00:00+08:00", "\0"]
    ),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)
LINE = st.fixed_dictionaries(
    {"codes": st.lists(VALUES, max_size=3)},
    optional=dict.fromkeys(("line", "product", "quantity", "price", "expiry", "split", "colour"), VALUES),
)
SALE = st.fixed_dictionaries(
    {"lines": st.lists(st.one_of(LINE, VALUES), min_size=1, max_size=3)},
    optional={"time": VALUES, "references": st.one_of(st.just({"order": "O1"}), VALUES), "fund": VALUES},
)


def places(document: Document) -> list[str]:
    return [record.where for record in document.records if not isinstance(record, Claim)]


def read_json(name: str, value: Any) -> Document | None:
    with suppress(msgspec.MsgspecError, RecursionError):
        return read(name, json.dumps(value).encode())
    return None


@given(st.lists(st.one_of(SALE, VALUES), min_size=1, max_size=3))
@settings(max_examples=120, deadline=None)
def test_every_line_is_taken_up_or_named(sales: list[Any]) -> None:
    document = read_json("sales", {"sales": sales})
    assert document is not None, "what is around the lines is right"
    told = places(document) + [problem.where for problem in document.problems]
    for number, sale in enumerate(sales):
        place = f"sales[{number}]"
        mine = [where for where in told if where == place or where.startswith(f"{place}.")]
        assert mine, f"{place} is lost: {sale}"
        if not isinstance(sale, dict) or any(not where.startswith(f"{place}.lines[") for where in mine):
            continue  # the receipt as a whole was named
        for index, line in enumerate(sale["lines"]):
            inner = [where for where in mine if where.startswith(f"{place}.lines[{index}]")]
            assert inner, f"line {index} of {place} is lost: {line}"


@given(st.sampled_from(sorted(SHAPES)), st.binary(max_size=60))
@settings(max_examples=120, deadline=None)
def test_any_bytes_are_a_document_or_a_fault_with_words(name: str, raw: bytes) -> None:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        assert isinstance(read(name, raw), Document)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        assert isinstance(read_claim(raw, advice=True), Document)
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        assert isinstance(read_reversal(raw), Document)


def test_a_body_of_another_shape_is_a_fault_of_the_whole() -> None:
    for name, shape in SHAPES.items():
        with pytest.raises(msgspec.ValidationError):
            read(name, b"{}")
        with pytest.raises(msgspec.ValidationError, match="length >= 1"):
            read(name, json.dumps({shape.rows: []}).encode())
        with pytest.raises(msgspec.ValidationError, match="unknown field"):
            read(name, json.dumps({shape.rows: [{}], "colour": "red"}).encode())


def test_a_fault_in_one_line_costs_no_other_line_anything() -> None:
    good = {"kind": "received", "code": "82345671000000000001", "time": "2026-03-09T10:00:00+08:00"}
    bad = [{**good, "kind": "eaten"}, {**good, "code": 8}, {"kind": "received"}, {**good, "time": "noon"}, "line", None]
    document = read_json("scans", {"scans": [good, *bad, good]})
    assert document is not None
    assert places(document) == ["scans[0]", "scans[7]"]
    assert [problem.where.split(".")[0] for problem in document.problems] == [
        f"scans[{place}]" for place in range(1, 7)
    ]


def test_without_a_lasting_number_the_time_is_needed() -> None:
    line = {"codes": ["82345671000000000001"]}
    for references, lasting in (
        ({"order": "O1"}, True),
        ({"visit": "V1"}, True),
        ({"receipt": "R1"}, False),
        ({}, False),
    ):
        document = read_json("sales", {"sales": [{"references": references, "lines": [line]}]})
        assert document is not None
        assert (len(document.records), [problem.where for problem in document.problems]) == (
            (1, []) if lasting else (0, ["sales[0].time"])
        )
    receipt = {"setting": "pharmacy", "references": {"receipt": "R1"}}
    assert read_claim(json.dumps(receipt).encode(), advice=False).problems[0].where == "time"


def test_the_settlement_is_part_of_what_a_cancel_says() -> None:
    one, two = read_cancel(b"{}", "S1"), read_cancel(b"{}", "S2")
    assert one.raw != two.raw
    assert read_cancel(b"", "S1").raw == one.raw


def test_claims_keep_their_codes_under_their_lines() -> None:
    body = {
        "setting": "outpatient",
        "references": {"visit": "V1"},
        "person": {"insured_number": "N1", "insured_area": "440100"},
        "lines": [{"line": "1", "codes": [{"code": "82345671000000000001", "split": True}]}, {"line": "2"}],
    }
    (claim,) = read_claim(json.dumps(body).encode(), advice=False).records
    assert isinstance(claim, Claim)
    assert claim.person == "psn:N1@440100"
    assert [(line.line, [(code.where, code.split) for code in line.codes]) for line in claim.lines] == [
        ("1", [("lines[0].codes[0]", True)]),
        ("2", []),
    ]


@pytest.mark.parametrize(
    ("millionths", "text"),
    [(0, "0.00"), (13_800_000, "13.80"), (1, "0.000001"), (1_500_000, "1.50"), (-5_000, "-0.005")],
)
def test_amounts_are_exact_decimal_texts(millionths: int, text: str) -> None:
    assert yuan(millionths) == text
