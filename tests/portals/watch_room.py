"""A watch room: a portal with inspectors of two provinces and of the nation, an agency and a regulator, signed in."""

from pathlib import Path
from typing import Any

import httpx
from portal import AGENCY, FAR_INSPECTOR, INSPECTOR, Portal, Visit
from story import HOSPITAL_FAR, REGULATOR

DESKTOP = {"width": 1280, "height": 900}
COOKIE = "suyuan_session"
PEOPLE: dict[str, tuple[str, str, str, str]] = {
    "guangdong": ("inspector", INSPECTOR, "440000", ""),
    "beijing": ("inspector", FAR_INSPECTOR, "110000", ""),
    "nation": ("inspector", "", "", ""),
    "agency": ("agency", AGENCY, "440000", "employee"),
    "regulator": ("drug_regulator", REGULATOR, "440000", ""),
}
"""Account → role, party, region, fund."""
SETTINGS = 'policy = "strict"\nblock_cache_mb = 16\nrate_page = "100000/minute"\n'


class WatchRoom(Portal):
    """The portal with its people; each has a session that lasts for the test."""

    def __init__(self, folder: Path, settings: str = "") -> None:
        super().__init__(folder, SETTINGS + settings)
        self.sessions: dict[str, str] = {}
        with self.node() as node:
            for name, (role, party, region, fund) in PEOPLE.items():
                node.tables.add_person(name, role, party, region=region, fund=fund)
                self.sessions[name], _ = node.tables.open_session(name, 24 * 3600)
            issued = node.tables.create_credential(HOSPITAL_FAR)
            self.keys[HOSPITAL_FAR] = f"{issued.id}.{issued.secret}"

    def person(self, name: str, language: str = "en") -> httpx.Client:
        """A browser without a screen, in which somebody is signed in."""
        headers = {"accept-language": language, "sec-fetch-site": "same-origin"}
        cookies = {COOKIE: self.sessions[name]}
        return httpx.Client(base_url=self.address, headers=headers, cookies=cookies, timeout=30)

    def visit(self, browser: Any, name: str, **context: Any) -> Visit:
        """A browser in which somebody is signed in."""
        visit = Visit(browser, self, **{"viewport": DESKTOP, **context})
        cookie = {"name": COOKIE, "value": self.sessions[name], "url": self.address, "httpOnly": True}
        visit.context.add_cookies([cookie])
        return visit
