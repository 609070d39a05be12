"""Who sees what: roles, who may use which URL, and the scope within which a caller sees records."""

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

EVERYBODY = frozenset(ROLES)
SIGNED_IN = EVERYBODY - {"citizen"}
STAFF = frozenset({"clerk", "pharmacist", "manager"})
"""People of a hospital, clinic or pharmacy."""
INSTITUTION = STAFF | {"institution"}
"""They and their software."""
SENDERS = INSTITUTION | {"firm", "vendor"}
"""Who uploads scans."""
OFFICIALS = frozenset({"agency", "inspector", "drug_regulator"})

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
    "partner": "inspector",
}
"""The role in which the software of a party speaks, by the party's kind."""


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

    @property
    def name(self) -> str:
        """Who it is, for limits, logs and the audit record."""
        return self.person or self.key or self.address


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller sees: nothing but what every filter that is set lets through."""

    parties: frozenset[str] | None = None
    """Codes of the institutions and firms whose own records are seen; None for all of the region."""
    region: str = ""
    """Significant digits of the division code; empty for everywhere."""
    fund: str = ""
    persons: bool = False
    """Whether personal data may be opened with a reason."""

    def sees_party(self, code: str, region: str = "") -> bool:
        """Whether records of this party, at this division code, are seen."""
        if self.parties is not None:
            return code in self.parties
        return region.startswith(self.region)


NOTHING = Scope(parties=frozenset())


def scope_of(caller: Caller, catalogue: Catalogue, day: date) -> Scope:
    """The scope of a caller on a day (`spec/settlement.md`, who sees what); empty for who sees no records at all."""
    if caller.role in SENDERS:
        return Scope(parties=frozenset({caller.party, *catalogue.speaks_for(caller.party, day)}) - {""})
    if caller.role in OFFICIALS:
        return Scope(region=significant(caller.region), fund=caller.fund, persons=caller.role == "inspector")
    return NOTHING


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
