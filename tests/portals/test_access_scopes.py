"""Who sees what, as a table: role and place go in, the scope comes out."""

from datetime import date
from typing import Any

import pytest
from story import HEAD_OFFICE, HOSPITAL_A, HOSPITAL_B, MAKER, PHARMACY_P, catalogue

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.parties import Delegation, Party
from suyuan.catalogue.prefixes import Prefix
from suyuan.portals.access import (
    NOTHING,
    NOWHERE,
    ROLE_OF_KIND,
    ROLES,
    SENDERS,
    Caller,
    Scope,
    neighbourhood,
    scope_of,
    significant,
)

DAY = date(2026, 3, 9)
INSPECTOR = "S00000000001"


@pytest.fixture(scope="module")
def field() -> Catalogue:
    content = catalogue()
    content.parties.append(Party(INSPECTOR, name="国家监管处", kind="inspector"))
    content.parties.append(Party("S44000000009", name="已撤销监管处", kind="inspector", valid_to=date(2026, 3, 8)))
    content.delegations = [
        Delegation(PHARMACY_P, HEAD_OFFICE, valid_from=date(2026, 1, 1), valid_to=DAY),
        Delegation(HOSPITAL_B, HEAD_OFFICE, valid_from=date(2026, 1, 1), valid_to=date(2026, 3, 8)),
    ]
    content.prefixes = [
        Prefix("trace20:8234567", holder=MAKER),
        Prefix("trace20:8234568", holder=MAKER, valid_to=date(2026, 1, 1)),
        Prefix("trace20:8123456", holder="M00000000002"),
        Prefix("trace20:8345678"),
    ]
    return Catalogue(content)


def own(*parties: str, **more: Any) -> Scope:
    return Scope(parties=frozenset(parties), **more)


TABLE: list[tuple[Caller, Scope]] = [
    (Caller(), NOTHING),
    (Caller(role="institution", party=HOSPITAL_A), own(HOSPITAL_A)),
    (Caller(role="clerk", party=HOSPITAL_A), own(HOSPITAL_A)),
    (Caller(role="pharmacist", party=HOSPITAL_A), own(HOSPITAL_A)),
    (Caller(role="manager", party=HOSPITAL_A), own(HOSPITAL_A)),
    (Caller(role="clerk"), NOTHING),
    (Caller(role="firm", party=MAKER), own(MAKER, products=frozenset({"trace20:8234567"}))),
    (Caller(role="firm", party="M00000000009"), own("M00000000009", products=frozenset())),
    (Caller(role="vendor", party=HEAD_OFFICE), own(HEAD_OFFICE, PHARMACY_P)),
    (Caller(role="agency", region="440000", fund="employee"), Scope(region="44", fund="employee")),
    (Caller(role="agency", region="440100"), Scope(region="4401")),
    (Caller(role="inspector", region="440106"), Scope(region="440106", persons=True)),
    (Caller(role="inspector"), Scope(persons=True)),
    (Caller(role="inspector", party=INSPECTOR, region="440000"), Scope(region="44", persons=True)),
    (Caller(role="inspector", party=INSPECTOR), Scope(persons=True)),
    (Caller(role="inspector", party="S44000000009"), Scope(region=NOWHERE, persons=True)),
    (Caller(role="inspector", party="S44000000009", region="440000"), Scope(region="44", persons=True)),
    (Caller(role="drug_regulator", region="440000"), Scope(region="44")),
    (Caller(role="auditor"), NOTHING),
    (Caller(role="security_officer"), NOTHING),
    (Caller(role="administrator", party=HOSPITAL_A, region="440000", fund="employee"), NOTHING),
]


@pytest.mark.parametrize(("caller", "scope"), TABLE)
def test_each_role_has_its_scope_and_no_more(field: Catalogue, caller: Caller, scope: Scope) -> None:
    assert scope_of(caller, field, DAY) == scope


def test_the_table_tells_of_every_role() -> None:
    assert {caller.role for caller, _ in TABLE} == set(ROLES)
    assert {scope.persons for caller, scope in TABLE if caller.role != "inspector"} == {False}


def test_a_delegation_counts_to_its_last_day_and_not_a_day_longer(field: Catalogue) -> None:
    vendor = Caller(role="vendor", party=HEAD_OFFICE)
    seen = [scope_of(vendor, field, date(2026, 3, day)).parties for day in (8, 9, 10)]
    told = [{HEAD_OFFICE, PHARMACY_P, HOSPITAL_B}, {HEAD_OFFICE, PHARMACY_P}, {HEAD_OFFICE}]
    assert seen == [frozenset(parties) for parties in told]


@pytest.mark.parametrize(
    ("region", "seen", "hidden"),
    [
        ("440000", ["440000", "440106", "441900"], ["110105", ""]),
        ("440100", ["440100", "440106"], ["440305", "440000", ""]),
        ("440106", ["440106"], ["440100", "440105"]),
        ("", ["440106", "110105", ""], []),
    ],
)
def test_an_officials_region_is_a_province_a_city_a_county_or_the_nation(
    region: str, seen: list[str], hidden: list[str]
) -> None:
    scope = Scope(region=significant(region))
    assert all(scope.sees_party("anybody", place) for place in seen)
    assert not any(scope.sees_party("anybody", place) for place in hidden)


def test_a_party_with_records_of_its_own_sees_no_other_in_any_region() -> None:
    assert own(HOSPITAL_A).sees_party(HOSPITAL_A, "440106")
    assert not own(HOSPITAL_A).sees_party(HOSPITAL_B, "440106")
    assert not NOTHING.sees_party("", "")


def test_software_of_a_partner_has_no_role_and_of_an_institution_its_own() -> None:
    assert "partner" not in ROLE_OF_KIND
    assert {ROLE_OF_KIND[kind] for kind in ("hospital", "clinic", "pharmacy")} == {"institution"}
    assert set(ROLE_OF_KIND.values()) - SENDERS == {"agency", "inspector", "drug_regulator"}


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::ffff", "2001:db8:1:3::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient:1", "testclient:1"),
        ("", ""),
    ],
)
def test_all_addresses_that_one_subscriber_has_are_counted_together(address: str, counted: str) -> None:
    assert neighbourhood(address) == counted
    assert Caller(address=address).name == counted
