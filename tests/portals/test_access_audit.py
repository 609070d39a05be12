"""No personal data without its line in the audit record, and no answer before that line is on disk."""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from access_people import Browser, with_people
from portal import Portal
from story import HOSPITAL_A

from suyuan.storage.audit import FILE, HEAD, AuditRecord
from suyuan.storage.tables import Tables

BOX = "82345670000000000024"
PERSON = re.compile(r'"person":"p\d')


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Portal]:
    """A portal in which a person was sold a box."""
    with with_people(tmp_path / "node") as running:
        with running.client(HOSPITAL_A) as client:
            sale = {
                "infno": "3505",
                "msgid": f"{HOSPITAL_A}202603091000000001",
                "fixmedins_code": HOSPITAL_A,
                "input": {
                    "selinfo": {
                        "med_list_codg": "XB05BAF058B002010102345",
                        "psn_no": "44010600001",
                        "mdtrt_sn": "V1",
                        "sel_retn_cnt": "1",
                        "sel_retn_time": "2026-03-09 10:00:00",
                        "drugtracinfo": [{"drug_trac_codg": BOX}],
                    }
                },
            }
            taken = client.post("/fsi/api/rsfComIfsService/callService", json=sale).json()
            assert str(taken["infcode"]) == "0", taken
        yield running


def read(browser: Browser, reason: str = "案件复核第7号") -> str:
    return browser.get("/api/v1/history", params={"code": BOX, "reason": reason}).text


def test_what_was_read_is_in_the_record_even_if_the_power_goes_with_the_answer(portal: Portal) -> None:
    with Browser(portal, "inspector") as browser:
        assert PERSON.search(read(browser))
        portal.kill()
    with Tables.open(portal.folder / "tables.sqlite") as tables:
        record = AuditRecord.open(portal.folder / FILE)
        line = list(record.lines())[-1]
        assert (line.who, line.role, line.reason) == ("inspector", "inspector", "案件复核第7号")
        assert BOX in line.subject
        assert record.verify(tables.meta(HEAD) or "").faults == []
        record.close()


@pytest.mark.slow
def test_without_a_record_to_write_to_no_person_is_shown(portal: Portal) -> None:
    with Browser(portal, "inspector") as browser:
        assert PERSON.search(read(browser))
        with sqlite3.connect(portal.folder / FILE) as raw:
            raw.execute("DROP TABLE lines")
        raw.close()
        refused = browser.get("/api/v1/history", params={"code": BOX, "reason": "案件复核第7号"})
        assert (refused.status_code, refused.json()["code"]) == (500, "internal")
        assert not PERSON.search(refused.text)
        without = browser.get("/api/v1/history", params={"code": BOX})
        assert without.status_code == 200
        assert not PERSON.search(without.text)


@pytest.mark.parametrize("reason", ["", "   ", "x", "1"])
@pytest.mark.slow
def test_a_reason_is_words(portal: Portal, reason: str) -> None:
    with Browser(portal, "inspector") as browser:
        assert not PERSON.search(read(browser, reason))


@pytest.mark.slow
def test_a_formula_in_a_reason_is_no_formula_in_the_auditors_spreadsheet(portal: Portal) -> None:
    with Browser(portal, "inspector") as browser, Browser(portal, "auditor") as eye:
        read(browser, '=HYPERLINK("https://example.com")')
        exported = eye.get("/audit/export").text
        assert "'=HYPERLINK" in exported
        assert ",=HYPERLINK" not in exported
