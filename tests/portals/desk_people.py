"""People at the desks of two institutions: a portal with their accounts, and their browsers already signed in."""

from pathlib import Path
from typing import Any

from portal import Portal, Visit
from story import HOSPITAL_A, MAKER, PHARMACY_P, PHARMACY_Q

from suyuan.ledger.events import Event
from suyuan.storage.tables import Tables

PEOPLE = {
    "ann": ("clerk", PHARMACY_P),
    "bob": ("clerk", PHARMACY_Q),
    "cai": ("pharmacist", HOSPITAL_A),
    "fan": ("firm", MAKER),
}
"""Account → role and party."""
COOKIE = "suyuan_session"
DESKTOP = {"width": 1280, "height": 900}


class Desks(Portal):
    """The portal with its people; each has a session that lasts for the test."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.sessions: dict[str, str] = {}
        with self.node() as node:
            for name, (role, party) in PEOPLE.items():
                node.tables.add_person(name, role, party)
                self.sessions[name], _ = node.tables.open_session(name, 24 * 3600)

    def end_session(self, name: str) -> None:
        """Signed out from elsewhere, or too long away."""
        with self.tables() as tables:
            tables.end_sessions(name)

    def sign_in(self, name: str) -> str:
        """A new session."""
        with self.tables() as tables:
            self.sessions[name], _ = tables.open_session(name, 24 * 3600)
        return self.sessions[name]

    def tables(self) -> Tables:
        """The node's tables, beside the running server."""
        return Tables.open(self.folder / "tables.sqlite")

    def visit(self, browser: Any, name: str, **context: Any) -> Visit:
        """A browser in which somebody is signed in."""
        visit = Visit(browser, self, **{"viewport": DESKTOP, "reduced_motion": "reduce", **context})
        self.let_in(visit, name)
        return visit

    def let_in(self, visit: Visit, name: str) -> None:
        """Give the browser the session of somebody."""
        cookie = {"name": COOKIE, "value": self.sessions[name], "url": self.address, "httpOnly": True}
        visit.context.add_cookies([cookie])

    def facts(self, kind: str = "") -> list[Event]:
        """After the server has stopped: what was told at the desks about boxes, in order of arrival."""
        with self.node() as node:
            events, _ = node.journal.since(None, 100_000)
        plain = (event for event in events if not event.key.startswith(("message:", "batch:", "alert:", "claim:")))
        return [event for event in plain if kind in {"", event.kind}]
