"""People of the tests: one of every role, with a password, and browsers in which they are signed in."""

import re
from functools import cache
from pathlib import Path
from typing import Any, Self

import httpx
from portal import AGENCY, INSPECTOR, Portal
from story import HEAD_OFFICE, HOSPITAL_A, HOSPITAL_B, MAKER, REGULATOR

from suyuan.node import Node
from suyuan.storage.passwords import hash_password
from suyuan.storage.people import Password

PASSWORD = "one box, one code"

PEOPLE: dict[str, dict[str, str]] = {
    "clerk": {"institution": HOSPITAL_A},
    "pharmacist": {"institution": HOSPITAL_A},
    "manager": {"institution": HOSPITAL_A},
    "firm": {"institution": MAKER},
    "agency": {"institution": AGENCY, "region": "440000", "fund": "employee"},
    "inspector": {"institution": INSPECTOR, "region": "440000"},
    "drug_regulator": {"institution": REGULATOR, "region": "440000"},
    "vendor": {"institution": HEAD_OFFICE},
    "auditor": {},
    "security_officer": {},
    "administrator": {},
}
"""Everybody is called as the role; besides them there is a manager of another hospital."""

MANAGER_B = "manager_b"
TOKEN = re.compile(r'name="form_token" value="(\w+)"')


def with_people(folder: Path, settings: str = "") -> Portal:
    """A portal, not yet started, in which everybody has an account."""
    limits = 'rate_sign_in = "10000/minute"\nrate_citizen = "100000/minute"\nrate_page = "100000/minute"\n'
    portal = Portal(folder, f'policy = "strict"\nblock_cache_mb = 16\n{limits}{settings}')
    with Node.open(folder) as node:
        for role, where in PEOPLE.items():
            node.tables.add_person(role, role, **where)
        node.tables.add_person(MANAGER_B, "manager", HOSPITAL_B)
        with node.tables._engine.begin() as connection:
            for person in node.tables.list_people():
                node.tables._save_password(connection, Password(person.name, kept()))
    return portal


@cache
def kept() -> str:
    """The one password of all, as it is kept: to make it costs a fifth of a second."""
    return hash_password(PASSWORD)


class Browser:
    """Somebody's browser: a cookie, and forms sent with the token of the page."""

    def __init__(self, portal: Portal, name: str = "", password: str = PASSWORD) -> None:
        self.client = httpx.Client(base_url=portal.address, timeout=30)
        self.name = name
        if name:
            self.signed_in = self.client.post("/sign-in", data={"name": name, "password": password})

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.client.get(path, **options)

    def token(self, path: str = "/account") -> str:
        found = TOKEN.search(self.client.get(path).text)
        assert found, f"{path} has no form"
        return found[1]

    def send(self, path: str, page: str = "/account", **fields: str) -> httpx.Response:
        """A form as a browser sends it from one of our pages."""
        sent = {"form_token": self.token(page), **fields}
        return self.client.post(path, data=sent, headers={"sec-fetch-site": "same-origin"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()


def secret_on(page: httpx.Response) -> str:
    """What is shown once."""
    found = re.search(r'class="secret">([^<]+)<', page.text)
    assert found, page.text
    return found[1]
