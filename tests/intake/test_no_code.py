"""What is granted without codes stands in the catalogue in rows that every export can hold."""

from datetime import date

import pytest
from story import HOSPITAL_A, LEGACY

from suyuan.catalogue.content import Content
from suyuan.catalogue.exchange import export_table, read_rows
from suyuan.intake.no_code import NoCodeRequest, with_entry

TODAY = date(2026, 3, 9)


def _asked(reason: str = "stock from before the codes", until: str = "2026-12-31") -> NoCodeRequest:
    return NoCodeRequest(
        institution=HOSPITAL_A, region="440100", nhsa=LEGACY, kind="legacy", quantity=10, reason=reason, until=until
    )


@pytest.mark.parametrize("reason", ["stock from before the codes", "two\nlines", "a\x00b\x1fc", '"quoted", and more'])
def test_what_is_granted_is_read_back_from_an_export_as_it_was(reason: str) -> None:
    granted = with_entry(Content(), _asked(reason), "1" * 16, TODAY)
    reading = read_rows("no_code", export_table(granted, "no_code"))
    assert (reading.fatal, reading.rejected) == ("", {})
    assert [row.quantity for row in granted.no_code] == [10]
    assert [row for _, row in reading.rows] == granted.no_code


def test_a_request_accepted_on_its_last_day_grants_that_day_and_later_nothing() -> None:
    last = _asked(until=TODAY.isoformat())
    assert len(with_entry(Content(), last, "1" * 16, TODAY).no_code) == 1
    before = Content()
    assert with_entry(before, last, "1" * 16, date(2026, 3, 10)) is before
