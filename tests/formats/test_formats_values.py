"""Single values: times, dates, numbers, flags and codes as clients really write them."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suyuan.formats.faults import FAULTS, fault, problem_in_chinese, refusal, refusal_in_chinese
from suyuan.formats.times import CHINA, digits17, instant, instants, iso_date, stamp
from suyuan.formats.values import codes, flag, millionths, quantity, text
from suyuan.ledger.scan import Problem


def micros(*parts: int, zone: timezone = CHINA) -> int:
    return round(datetime(*parts, tzinfo=zone).timestamp()) * 1_000_000  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-01-03 10:11:12", micros(2026, 1, 3, 10, 11, 12)),
        ("2026-01-0310:11:12", micros(2026, 1, 3, 10, 11, 12)),
        ("2026-01-03", micros(2026, 1, 3)),
        ("2023/5/31 9:21:50", micros(2023, 5, 31, 9, 21, 50)),
        ("20260612084935", micros(2026, 6, 12, 8, 49, 35)),
        ("20260612084935123", micros(2026, 6, 12, 8, 49, 35) + 123_000),
        ("20260612", micros(2026, 6, 12)),
        ("2024-08-07 00:00:00", micros(2024, 8, 7)),
        ("2026-01-03 10:11", micros(2026, 1, 3, 10, 11)),
        ("2026年1月3日 10时11分12秒", micros(2026, 1, 3, 10, 11, 12)),
        ("2026.1.3", micros(2026, 1, 3)),
        (" 2026-01-03T10:11:12 ", micros(2026, 1, 3, 10, 11, 12)),
        ("2026-01-03T10:11:12Z", micros(2026, 1, 3, 10, 11, 12, zone=UTC)),
        ("2026-01-03T10:11:12.500Z", micros(2026, 1, 3, 10, 11, 12, zone=UTC) + 500_000),
        ("2026-01-03T10:11:12+0800", micros(2026, 1, 3, 10, 11, 12)),
        ("2026-01-03T10:11:12-06:00", micros(2026, 1, 3, 10, 11, 12, zone=timezone(timedelta(hours=-6)))),
        ("", 0),
        ("0001-01-01 00:00:00", 0),
    ],
)
def test_every_form_of_time_that_clients_send_is_read(written: str, expected: int) -> None:
    assert instant(written) == expected
    assert instants([written, written]) == [expected, expected]


@pytest.mark.parametrize(
    "written",
    ["无", "2026-02-30 10:00:00", "2026-01-03 24:00:00", "2026-01-03 10:61:00", "22-07-2026", "3026-01-01",
     "2026-01-03 10:11:12x", "2026-01-03 10:11:12+99:00", "１２３４", "20261301", "2026-01-03 10:11:12 pm"],
)  # fmt: skip
def test_what_is_no_time_is_not_made_into_one(written: str) -> None:
    assert instant(written) is None
    assert instants([written]) == [None]


@given(st.datetimes(min_value=datetime(1900, 1, 2), max_value=datetime(2199, 12, 30)))  # noqa: DTZ001  local by design
def test_a_time_in_the_regular_form_comes_back_to_the_second(moment: datetime) -> None:
    read = instant(f"{moment:%Y-%m-%d %H:%M:%S}".replace(f"{moment:%Y}", f"{moment.year:04d}", 1))
    assert read is not None
    assert digits17(read)[:14] == f"{moment.year:04d}{moment:%m%d%H%M%S}"


def test_dates_of_batches_are_read_and_a_month_means_its_end_for_an_expiry() -> None:
    assert iso_date("2027-05-16") == "2027-05-16"
    assert iso_date("20270516") == "2027-05-16"
    assert iso_date("2027/5/6 00:00:00") == "2027-05-06"
    assert iso_date("2028-02", end=True) == "2028-02-29"
    assert iso_date("2028年2月") == "2028-02-01"
    assert iso_date("") == ""
    for wrong in ("无", "2027-13", "2027-02-30", "202713"):
        assert iso_date(wrong, end=True) is None


def test_an_epcis_time_needs_seconds_and_a_zone() -> None:
    assert stamp("2023-02-02T11:04:03.1415Z") == micros(2023, 2, 2, 11, 4, 3, zone=UTC) + 141_500
    for wrong in ("2023-02-02T11:04:03", "2023-02-02", "22-07-2026", "", "2023-02-30T11:04:03Z"):
        assert not stamp(wrong)


@given(st.decimals(min_value=0, max_value=10**11, places=4))
def test_counts_and_amounts_keep_their_value(number: Decimal) -> None:
    assert Decimal(quantity(str(number)) or "x") == number
    assert millionths(str(number)) == number * 1_000_000


def test_a_count_has_one_form_however_it_is_written() -> None:
    assert {quantity(form) for form in ("1", "1.0000", "+1", "01.00", "1.")} == {"1"}
    assert quantity("0.50") == "0.5"
    assert quantity(".5") == "0.5"
    for wrong in ("", "-1", "1e3", "１", "1,000", "twenty", "NaN", "1" * 13, ".", "1.123456789"):
        assert quantity(wrong) is None
        assert millionths(wrong) is None


def test_flags_come_as_figures_or_words() -> None:
    assert [flag(word) for word in ("1", "是", "Y", "true")] == [True] * 4
    assert [flag(word) for word in ("0", "否", "", "N")] == [False] * 4
    assert flag("2") is None


def test_json_values_become_text_as_written() -> None:
    assert text("  a\0b ") == "ab"
    assert text(13.8) == "13.8"
    assert text(13.0) == "13"
    assert text(1e-7) == "0.0000001"
    assert text(True) == "1"  # noqa: FBT003  a JSON value
    assert text(None) == text([]) == text({}) == ""
    assert text(81234567890123456789) == "81234567890123456789"


def test_codes_joined_by_commas_are_split_and_lost_digits_are_named() -> None:
    problems: list[Problem] = []
    one, two = "81" * 10, "82" * 10
    assert codes(f"{one},{two}；{one}", "3", problems) == [one, two, one]
    assert codes("MA.156.M0,1;2", "3", problems) == ["MA.156.M0,1;2"]
    assert codes(81234567890123456789, "3", problems) == ["81234567890123456789"]
    assert codes(None, "3", problems) == []
    assert not problems
    assert codes("8.1234E+19", "4", problems) == []
    assert codes(8.1234e19, "5", problems) == []
    assert codes("8" * 501, "6", problems) == []
    assert codes("81\0" + "1" * 18, "7", problems) == []
    assert [problem.where for problem in problems] == ["4", "5", "6", "7"]
    assert "scientific notation" in problems[0].what
    assert "text" in problems[0].do


def test_every_fault_speaks_both_languages_and_says_what_to_do() -> None:
    assert len({entry.what for entry in FAULTS}) == len({entry.name for entry in FAULTS}) == len(FAULTS)
    for entry in FAULTS:
        assert entry.what_zh
        assert entry.do
        assert entry.do_zh
        problem = fault(entry.name, "selinfo.x", "v" * 100)
        assert problem_in_chinese(problem).startswith("selinfo.x：" + entry.what_zh)
        assert len(problem.value) == 80
        assert refusal_in_chinese(refusal(entry.name, "12")).startswith(entry.what_zh)
        assert "12" in refusal_in_chinese(refusal(entry.name, "12"))
    assert refusal_in_chinese("something else") == "something else"
    assert problem_in_chinese(Problem(where="a", what="b")) == "a：b"
