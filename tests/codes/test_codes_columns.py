"""Codes in bulk say the same as codes one by one."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from suyuan.codes.columns import box_keys, recognise_many
from suyuan.codes.makers import MakerRule
from suyuan.codes.recognise import recognise

MIXED = [
    "81234567890123456789",
    "８1234567890123456789",
    "8123456789012345678９",
    "٨1234567890123456789",
    "81234560000000000000",
    "81234567890123400000",
    "81234567890123411111",
    "6901234567892",
    "(01)06901234567892(21)SN0001",
    "010690123456789210ABC12321SN0001",
    "81234567890123456789\n",
    "8123456789012345678",
    "",
    "\ud800",
    "无",
]

texts = st.one_of(st.sampled_from(MIXED), st.from_regex(r"8[0-9]{19}", fullmatch=True), st.text(max_size=25))


@given(st.lists(texts, max_size=20))
def test_bulk_recognition_equals_recognition_one_by_one(sample: list[str]) -> None:
    expected = [recognise(text) for text in sample]
    assert recognise_many(sample) == expected
    frame = box_keys(sample)
    assert frame["key"].to_list() == [code.key for code in expected]
    assert frame["product_key"].to_list() == [code.product_key for code in expected]
    assert frame["system"].to_list() == [code.system for code in expected]
    assert frame["clean"].to_list() == [not code.problems and not code.review for code in expected]


def test_columns_of_other_kinds_and_missing_texts_are_taken_too() -> None:
    assert box_keys(pl.Series([None, "81234567890123456789"]))["key"].to_list() == [
        "unknown:",
        "trace20:81234567890123456789",
    ]
    assert box_keys(pl.Series([6901234567892]))["key"].to_list() == ["gs1:06901234567892"]
    assert box_keys([]).schema == {"key": pl.String, "product_key": pl.String, "system": pl.String, "clean": pl.Boolean}


def test_rules_of_makers_reach_bulk_recognition() -> None:
    rules = [MakerRule("acme", r"ACME-\d+")]
    assert (
        recognise_many(["ACME-778"], rules)[0].key == box_keys(["ACME-778"], rules)["key"][0] == "maker:acme:ACME-778"
    )
