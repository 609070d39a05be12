"""A portal whose record was sealed before it started, with a sale at a place that citizens are not told."""

import json
from pathlib import Path

import msgspec
from portal import Portal
from story import HOSPITAL_A, PHARMACY_P

from suyuan.formats import nhsa
from suyuan.ledger.events import Event

SEALED, UNDONE, HIDDEN, WAITING, NEVER = (f"8234567{number:013d}" for number in range(901, 906))
PERSON = "person-with-a-number"


def sell(portal: Portal, *sales: tuple[str, str]) -> None:
    """Report a sale of each box at its place, while the server is stopped."""
    with portal.node() as node:
        for box, place in sales:
            assert not node.take(nhsa.read(message("3505", box, place))).fatal


def message(infno: str, box: str, place: str) -> bytes:
    """A sale or a return, with all that a message says of a person."""
    row = {
        "fixmedins_bchno": "B1",
        "rtal_docno": f"R{box[-3:]}",
        "psn_no": PERSON,
        "prsc_dr_name": "prescriber-with-a-name",
        "sel_retn_cnt": "1",
        "sel_retn_time": "2026-11-20 10:00:00",
        "drugtracinfo": [{"drug_trac_codg": box}],
    }
    head = {"infno": infno, "msgid": f"{place}{infno}{box[-14:]}", "fixmedins_code": place, "infver": "V1.0"}
    return json.dumps({**head, "input": {"selinfo": row}}).encode()


def seal(portal: Portal) -> None:
    """Seal and sign, while the server is stopped."""
    with portal.node() as node:
        node.lake.seal(workers=0)
        node.checkpoint()


def sealed_portal(folder: Path) -> Portal:
    """Stopped; HOSPITAL_A is a place that citizens are not told."""
    portal = Portal(folder)
    with portal.node() as node:
        content = node.catalogue.content
        parties = [
            msgspec.structs.replace(party, sensitive=party.code == HOSPITAL_A, name=f"Name of {party.code}")
            for party in content.parties
        ]
        node.tables.save_catalogue(msgspec.structs.replace(content, parties=parties))
    sell(portal, (SEALED, PHARMACY_P), (UNDONE, PHARMACY_P), (HIDDEN, HOSPITAL_A))
    with portal.node() as node:
        assert not node.take(nhsa.read(message("3506", UNDONE, PHARMACY_P))).fatal
    seal(portal)
    sell(portal, (WAITING, PHARMACY_P))
    return portal


def events_of(portal: Portal, box: str) -> list[Event]:
    """What the record has of a box, while the server is stopped."""
    with portal.node() as node:
        return list(node.journal.fetch([f"trace20:{box}"])[f"trace20:{box}"].events)
