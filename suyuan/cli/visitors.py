"""Who may visit a demo over HTTP: throw-away accounts and keys, and addresses that show each outcome."""

import secrets
from collections import Counter

import msgspec

from suyuan.catalogue.parties import Party
from suyuan.lookup.totals import PAGE, count_all
from suyuan.node import Node
from suyuan.views.flow import product_key

SELLERS = ("hospital", "pharmacy", "clinic")


class Account(msgspec.Struct, frozen=True):
    """Somebody who may sign in to the demo."""

    who: str
    name: str
    password: str
    page: str
    """Where it begins for them."""


class Key(msgspec.Struct, frozen=True):
    """Software that may call the demo."""

    who: str
    party: str
    bearer: str


class Visitors(msgspec.Struct, frozen=True):
    """Everybody who may come; all of it is made anew with each demo."""

    accounts: list[Account]
    keys: list[Key]


def invite_visitors(node: Node) -> Visitors:
    """Make accounts for each kind of reader, where there is most to see, and keys for an institution and a firm."""
    _, alerts = count_all(node.journal)
    told = Counter(alert["institution"] for alert in alerts)
    parties = {party.code: party for party in node.catalogue.content.parties}
    seller = _busiest(parties, told, SELLERS)
    firm = _best_known_firm(node, parties)
    province = node.catalogue.province(seller.region)
    agency, office, ministry, regulator = _found_authorities(node, province)
    people = (
        ("机构负责人 manager of an institution", "manager", seller.code, "", "/institution"),
        ("机构操作员 clerk at the counter", "clerk", seller.code, "", "/scan"),
        ("生产企业 manufacturer", "firm", firm.code, "", "/firm"),
        ("经办 clerk of the agency", "agency", agency, province, "/inspector"),
        ("省级监管 inspector of a province", "inspector", office, province, "/inspector"),
        ("国家监管 inspector of the nation", "inspector", ministry, "", "/inspector"),
        ("药监 drug regulator", "drug_regulator", regulator, "", "/inspector"),
        ("系统管理员 administrator", "administrator", "", "", "/admin"),
        ("安全管理员 security officer", "security_officer", "", "", "/admin"),
        ("审计员 auditor", "auditor", "", "", "/audit"),
    )
    accounts = []
    for who, role, institution, region, page in people:
        name = role if not (role == "inspector" and region) else "inspector-province"
        password = secrets.token_urlsafe(9)
        node.tables.add_person(name, role, institution, region)
        node.tables.set_password(name, password)
        accounts.append(Account(who, name, password, page))
    keys = []
    for who, party in (("机构 institution", seller), ("企业 firm", firm)):
        issued = node.tables.create_credential(party.code)
        keys.append(Key(who, party.code, f"{issued.id}.{issued.secret}"))
    return Visitors(accounts, keys)


def _found_authorities(node: Node, province: str) -> list[str]:
    """Authorities in whose name officials answer: an agency and an inspectorate of the province, and two of the nation.

    Whoever reads an answer learns the authority, never the official.
    """
    name = node.catalogue.region_name(province)
    found = [
        Party(f"A{province}00001", f"示例{name}医保中心", "agency", province, synthetic=True),
        Party(f"S{province}00001", f"示例{name}医保监管处", "inspector", province, synthetic=True),
        Party("S00000000001", "示例国家医保监管司", "inspector", synthetic=True),
        Party("D00000000001", "示例国家药监部门", "drug_regulator", synthetic=True),
    ]
    content = node.tables.load_catalogue()
    content.parties += found
    node.tables.save_catalogue(content, ["parties"])
    node.reload_catalogue()
    return [party.code for party in found]


def _best_known_firm(node: Node, parties: dict[str, Party]) -> Party:
    """The firm whose goods were sold most often, by the prefixes it holds; any maker where nothing was sold."""
    holders = {row.product_key: row.holder for row in node.catalogue.content.prefixes if row.holder in parties}
    sold: Counter[str] = Counter()
    position: bytes | None = None
    while True:
        events, position = node.journal.since(position, PAGE)
        if not events:
            break
        keys = (product_key(event.key) for event in events if event.kind == "sold")
        sold.update(holders[key] for key in keys if key in holders)
    return parties[sold.most_common(1)[0][0]] if sold else _first(parties, "manufacturer")


def _busiest(parties: dict[str, Party], told: Counter[str], kinds: tuple[str, ...]) -> Party:
    """The party with most alerts; the first of its kind where there are none."""
    for code, _ in told.most_common():
        if code in parties and parties[code].kind in kinds:
            return parties[code]
    return _first(parties, *kinds)


def _first(parties: dict[str, Party], *kinds: str) -> Party:
    return next(party for _, party in sorted(parties.items()) if party.kind in kinds)
