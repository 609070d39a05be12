"""Keys and delegations of a party, for its own people and for administrators."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from suyuan.catalogue.parties import Delegation
from suyuan.intake.desk import day_of
from suyuan.lookup.moment import iso_time
from suyuan.portals import codec, delegations, keys
from suyuan.portals.access import KEEPERS, caller_of
from suyuan.portals.api.operation import operation, query_of
from suyuan.portals.audit import recorded
from suyuan.portals.problem import Refused
from suyuan.portals.site import site_of
from suyuan.storage.tables import Credential

GROUP = "Access"
Label = Annotated[str, Meta(max_length=100, description="What the key is used for, in words.")]
Networks = Annotated[
    str, Meta(max_length=400, description="Source networks from which it is taken, with commas between; empty: any.")
]
PartyCode = Annotated[str, Meta(max_length=40, description="For an administrator: whose; others leave it out.")]
IsoDay = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="A day in China's time.")]


# Keys


class Key(msgspec.Struct, kw_only=True):
    """A key, without its secret."""

    id: str
    party: str
    kind: str
    """key, sm2 or network."""
    label: str
    networks: str
    public_key: str
    created: str
    valid_until: str
    """Until when a replaced key is good; empty: no end is set."""
    revoked: str
    open: bool
    """Whether it proves anything now."""


class KeyList(msgspec.Struct, kw_only=True):
    """All keys, the oldest first; revoked ones too."""

    keys: list[Key]


class NewKey(msgspec.Struct, kw_only=True):
    """A key with its secret, shown this once; or what waits for a security officer."""

    id: str
    party: str
    secret: str
    waiting: str = ""
    """Id of the request: an administrator's key is made when a security officer approves it, who then hands it over."""


class KeysQuery(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose keys."""

    party: PartyCode = ""


class KeyBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What key is wanted."""

    party: PartyCode = ""
    label: Label = ""
    networks: Networks = ""
    public_key: Annotated[
        str, Meta(max_length=200, description="An SM2 public key in hexadecimal digits: then there is no secret.")
    ] = ""


class ReplaceBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """How long the old key stays good."""

    overlap_days: Annotated[int, Meta(ge=0, le=keys.OVERLAP_DAYS_MAX)] = 7


_KEY_BODY = msgspec.json.Decoder(KeyBody)
_REPLACE_BODY = msgspec.json.Decoder(ReplaceBody)


@operation(
    "listKeys", GROUP, "Keys of the own party; for administrators of all or one", query=KeysQuery, answer=KeyList
)
async def list_keys(request: Request) -> Response:
    """Keys without their secrets."""
    caller, site = caller_of(request), site_of(request)
    party = keys.party_asked(caller, query_of(request, KeysQuery).party)
    found = await site.query(site.node.tables.list_credentials, party)
    return codec.answer(KeyList(keys=[shown(one, site.node.ledger.clock()) for one in found]))


@operation(
    "issueKey",
    GROUP,
    "A new key of the own party, with a secret or for an SM2 public key",
    about="The secret is shown this once. An administrator may ask for a key of any party; a security officer approves "
    "it and hands it over, and the answer has the id of the request in place of the secret.",
    body=KeyBody,
    answer=NewKey,
    status=201,
    example={"label": "till 1"},
)
async def issue_key(request: Request) -> Response:
    """A new key."""
    caller, site = caller_of(request), site_of(request)
    body = await codec.read_body(request, _KEY_BODY)
    party = keys.party_asked(caller, body.party)
    if caller.role in KEEPERS:
        await recorded(request, "account.key.ask", party, body.label)
        asked = await site.query(keys.ask, site.node, caller, party, body.label)
        return codec.answer(NewKey(id="", party=party, secret="", waiting=asked.id), 201)
    await recorded(request, "account.key.issue", party, body.label)
    if body.public_key:
        made = await site.query(keys.register, site.node, caller, body.public_key, body.label, body.networks)
        return codec.answer(NewKey(id=made.id, party=party, secret=""), 201)
    issued = await site.query(keys.issue, site.node, caller, body.label, body.networks)
    return codec.answer(NewKey(id=issued.id, party=party, secret=issued.secret), 201)


@operation(
    "replaceKey",
    GROUP,
    "A new key in place of one that stays good for some days",
    about="Change the key in every client within the overlap; then the old one ends by itself.",
    body=ReplaceBody,
    answer=NewKey,
    status=201,
    errors=("not_now",),
    example={"overlap_days": 7},
)
async def replace_key(request: Request) -> Response:
    """Rotation."""
    caller, site = caller_of(request), site_of(request)
    body = await codec.read_body(request, _REPLACE_BODY)
    old = await site.query(keys.key_asked, site.node, caller, request.path_params["key"])
    keys.own_party(caller)
    await recorded(request, "account.key.replace", old.id, f"overlap of {body.overlap_days} days")
    issued = await site.query(keys.replace, site.node, caller, old, body.overlap_days)
    return codec.answer(NewKey(id=issued.id, party=issued.institution, secret=issued.secret), 201)


@operation("revokeKey", GROUP, "End a key at once", body_needed=False, answer=Key)
async def revoke_key(request: Request) -> Response:
    """An end that cannot be undone."""
    caller, site = caller_of(request), site_of(request)
    old = await site.query(keys.key_asked, site.node, caller, request.path_params["key"])
    await recorded(request, "account.key.revoke", old.id, old.institution)
    await site.query(site.node.tables.revoke, old.id)
    site.forget_networks()
    old = await site.query(keys.key_asked, site.node, caller, old.id)
    return codec.answer(shown(old, site.node.ledger.clock()))


def shown(key: Credential, now: int) -> Key:
    """A key as it is listed; `now` in µs UTC."""
    end = key.valid_until.timestamp() * 1e6 if key.valid_until else now + 1
    return Key(
        id=key.id,
        party=key.institution,
        kind=key.kind,
        label=key.label,
        networks=key.networks,
        public_key=key.public_key,
        created=_moment(key.created),
        valid_until=_moment(key.valid_until),
        revoked=_moment(key.revoked),
        open=key.revoked is None and now < end,
    )


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else iso_time(int(moment.timestamp()) * 1_000_000)


# Delegations


class DelegationRow(msgspec.Struct, kw_only=True):
    """`grantor` lets `delegate` speak for it, both days included."""

    grantor: str
    delegate: str
    purpose: str
    since: str
    until: str


class DelegationList(msgspec.Struct, kw_only=True):
    """Delegations of the own party, the latest first."""

    given: list[DelegationRow]
    received: list[DelegationRow]


class DelegationBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Who may speak for the own party, and how long."""

    delegate: Annotated[str, Meta(min_length=1, max_length=40, description="Party code of a vendor or head office.")]
    until: IsoDay
    since: Annotated[str, Meta(pattern=r"^$|^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="Today if left out.")] = ""
    purpose: Annotated[str, Meta(max_length=200)] = ""


class EndBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whose delegation ends."""

    delegate: Annotated[str, Meta(min_length=1, max_length=40)]


_DELEGATION_BODY = msgspec.json.Decoder(DelegationBody)
_END_BODY = msgspec.json.Decoder(EndBody)


@operation("listDelegations", GROUP, "Who may speak for the own party, and for whom it may", answer=DelegationList)
async def list_delegations(request: Request) -> Response:
    """Delegations given and received."""
    site = site_of(request)
    given, received = await site.query(delegations.of_party, site.node, keys.own_party(caller_of(request)))
    return codec.answer(
        DelegationList(given=[row_of(one) for one in given], received=[row_of(one) for one in received])
    )


@operation(
    "delegate",
    GROUP,
    "Let another party send for the own one, until a day",
    body=DelegationBody,
    answer=DelegationRow,
    status=201,
    errors=("not_now",),
    example={"delegate": "C44000000001", "until": "2026-12-31", "purpose": "总部统一上传"},
)
async def delegate(request: Request) -> Response:
    """A new delegation."""
    site, body = site_of(request), await codec.read_body(request, _DELEGATION_BODY)
    party = keys.own_party(caller_of(request))
    first = _day("since", body.since) if body.since else day_of(site.node.ledger.clock())
    wanted = Delegation(party, body.delegate, body.purpose, first, _day("until", body.until))
    await recorded(
        request, "account.delegation.give", f"{party} → {body.delegate}", f"until {body.until} {body.purpose}"
    )
    made = await site.query(delegations.give, site.node, wanted)
    return codec.answer(row_of(made), 201)


@operation(
    "endDelegation", GROUP, "Take a delegation back at once", body=EndBody, answer=DelegationList, errors=("not_found",)
)
async def end_delegation(request: Request) -> Response:
    """The end of a delegation; what is left."""
    site, body = site_of(request), await codec.read_body(request, _END_BODY)
    party = keys.own_party(caller_of(request))
    await recorded(request, "account.delegation.end", f"{party} → {body.delegate}")
    await site.query(delegations.end, site.node, party, body.delegate)
    return await list_delegations(request)


def row_of(one: Delegation) -> DelegationRow:
    """A delegation as it is listed."""
    return DelegationRow(
        grantor=one.grantor,
        delegate=one.delegate,
        purpose=one.purpose,
        since=one.valid_from.isoformat(),
        until=one.valid_to.isoformat(),
    )


def _day(where: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise Refused("field_unusable", where=where, value=text, what="It is no day.") from error
