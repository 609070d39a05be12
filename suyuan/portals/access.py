"""Who sees what: roles, who may use which URL, and the scope within which a caller sees records."""

import ipaddress
from datetime import date
from typing import Literal, get_args

import msgspec
from starlette.requests import HTTPConnection

from suyuan.catalogue.catalogue import Catalogue

Role = Literal[
    "citizen",
    "institution",
    "clerk",
    "pharmacist",
    "manager",
    "firm",
    "agency",
    "inspector",
    "drug_regulator",
    "vendor",
    "auditor",
    "security_officer",
    "administrator",
]
ROLES: tuple[Role, ...] = get_args(Role)

EVERYBODY: frozenset[Role] = frozenset(ROLES)
SIGNED_IN: frozenset[Role] = EVERYBODY - {"citizen"}
STAFF: frozenset[Role] = frozenset({"clerk", "pharmacist", "manager"})
"""People of a hospital, clinic or pharmacy."""
INSTITUTION: frozenset[Role] = frozenset({*STAFF, "institution"})
"""They and their software."""
SENDERS: frozenset[Role] = frozenset({*INSTITUTION, "firm", "vendor"})
"""Who uploads scans."""
OFFICIALS: frozenset[Role] = frozenset({"agency", "inspector", "drug_regulator"})
DIRECTORS: frozenset[Role] = frozenset({"manager", "firm", "vendor"})
"""Whose people look after the keys and delegations of their own party."""
KEEPERS: frozenset[Role] = frozenset({"administrator", "security_officer"})
"""Who keeps accounts, each with a part of the power (三员分立): one asks, one approves; the third is the auditor."""
PEOPLE: frozenset[Role] = frozenset(SIGNED_IN - {"institution"})
"""Roles that a person may have; software has keys."""

TITLES: dict[Role, tuple[str, str]] = {
    "citizen": ("Citizen", "product; each sale's place, date and time; never a person"),
    "institution": ("Software of a hospital, clinic or pharmacy", "what it said itself, and of who delegated to it"),
    "clerk": ("Clerk", "what the institution said itself; of a conflict only `elsewhere` and the month"),
    "pharmacist": ("Pharmacist", "as the clerk"),
    "manager": ("Manager", "as the clerk; keys and delegations of the institution"),
    "firm": (
        "Maker or distributor",
        "own uploads; boxes of its own proven prefixes, by county and week, never a person",
    ),
    "agency": ("Insurer's agency", "claims of its own fund in its region"),
    "inspector": ("Inspector", "its region; personal data with a stated reason, recorded"),
    "drug_regulator": ("Drug regulator", "boxes, batches and places of its region; never a person"),
    "vendor": ("Vendor, head office, third-party warehouse", "what a party delegated to it, until a date"),
    "auditor": ("Auditor", "the audit record, and nothing else"),
    "security_officer": ("Security officer", "accounts and what waits for approval; no business data"),
    "administrator": ("Administrator", "accounts and keys; no business data, and no role for themselves"),
}
"""What each role is called, and what it sees (`spec/settlement.md`)."""

ROLE_OF_KIND: dict[str, Role] = {
    "hospital": "institution",
    "clinic": "institution",
    "pharmacy": "institution",
    "manufacturer": "firm",
    "distributor": "firm",
    "logistics": "vendor",
    "vendor": "vendor",
    "head_office": "vendor",
    "agency": "agency",
    "inspector": "inspector",
    "drug_regulator": "drug_regulator",
}
"""The role in which the software of a party speaks, by the party's kind. A partner (police, courts) sees what is
referred to it and has no role of its own."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody at the door."""

    role: Role = "citizen"
    party: str = ""
    """Code of the institution, firm or authority; empty for citizens and for those who administer the node."""
    region: str = ""
    """Six-digit division code of an official; empty means the whole nation."""
    fund: str = ""
    """The fund an agency pays from; empty for all."""
    person: str = ""
    """Account name; empty for software and citizens."""
    key: str = ""
    """Id of the key that software signed with."""
    session: str = ""
    software: str = ""
    """Vendor, name and version of the client, as it says itself."""
    address: str = ""
    """Network address, for limits alone; never logged."""
    must_change: bool = False
    """Signed in with a password that somebody else knows: nothing else is done before it is changed."""

    @property
    def name(self) -> str:
        """Who it is, for limits, logs and the audit record."""
        return self.person or self.key or neighbourhood(self.address)


def neighbourhood(address: str) -> str:
    """A network address as it is counted: of IPv6 its /64, for who has one address of that has all of them."""
    if ":" not in address:
        return address
    try:
        whole = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(whole.ipv4_mapped or ipaddress.IPv6Network((whole, 64), strict=False))


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sees: nothing but what every filter that is set lets through."""

    parties: frozenset[str] | None = None
    """Codes of the institutions and firms whose own records are seen; None for all of the region."""
    region: str = ""
    """Significant digits of the division code; empty for everywhere."""
    products: frozenset[str] | None = None
    """Product keys of a firm's proven prefixes: of these boxes it also learns where they went. None where the
    product does not narrow."""
    fund: str = ""
    persons: bool = False
    """Whether personal data may be opened with a reason."""

    def sees_party(self, code: str, region: str = "") -> bool:
        """Whether records of this party, at this division code, are seen."""
        if self.parties is not None:
            return code in self.parties
        return region.startswith(self.region)


NOTHING = Scope(parties=frozenset())
NOWHERE = "-"
"""No division code begins with this: the region of officials whose authority is not listed any more."""


def scope_of(caller: Caller, catalogue: Catalogue, day: date) -> Scope:
    """The scope of a caller on a day (`spec/settlement.md`, who sees what); empty for who sees no records at all."""
    if caller.role in SENDERS and caller.party:
        parties = frozenset({caller.party, *catalogue.speaks_for(caller.party, day)})
        return Scope(parties=parties, products=proven(caller.party, catalogue, day) if caller.role == "firm" else None)
    if caller.role in OFFICIALS:
        unlisted = caller.party and not caller.region and catalogue.party(caller.party, day) is None
        region = NOWHERE if unlisted else significant(caller.region)
        return Scope(region=region, fund=caller.fund, persons=caller.role == "inspector")
    return NOTHING


def proven(firm: str, catalogue: Catalogue, day: date) -> frozenset[str]:
    """Product keys that the identification library says are this firm's on a day, by its registration alone."""
    return frozenset(row.product_key for row in catalogue.held_by(firm) if row.valid_from <= day <= row.valid_to)


def significant(region: str) -> str:
    """The digits of a division code that say something: `440000` is a province, `440100` a city, `440106` a county."""
    while region.endswith("00") and region:
        region = region[:-2]
    return region


def caller_of(request: HTTPConnection) -> Caller:
    """Who is calling, as the door found."""
    caller = request.scope["state"]["caller"]
    assert isinstance(caller, Caller), "every endpoint stands behind the door"
    return caller
