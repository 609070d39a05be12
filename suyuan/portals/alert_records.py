"""Alerts as they are told outside: to officials whole, to an institution its own side only."""

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

import msgspec
from starlette.datastructures import QueryParams

from suyuan.catalogue.catalogue import Catalogue
from suyuan.intake.desk import day_of
from suyuan.ledger.alerts import CLASSES
from suyuan.ledger.handling import STATES
from suyuan.lookup.moment import iso_time
from suyuan.portals.access import Scope, significant
from suyuan.portals.problem import Refused
from suyuan.views.alerts import Alert, AlertsWanted, own_side

CHINA = timezone(timedelta(hours=8))

KINDS = ("sold", "claimed", "returned", "cancelled")
"""Kinds of facts that alerts are about."""

FILTERS = ("region", "institution", "class", "kind", "state", "code", "from", "until")
"""Names of the query parameters that narrow a list or stream of alerts."""


class Side(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One side of an alert. Times are ISO 8601 in China's time."""

    institution: str
    name: str = ""
    region: str = ""
    """Six-digit division code."""
    region_name: str = ""
    event_time: str = ""
    arrived: str = ""


class OtherSide(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The other side of an alert: whole for officials; for an institution kind of place and month, never who."""

    institution: str = ""
    name: str = ""
    region: str = ""
    region_name: str = ""
    event_time: str = ""
    arrived: str = ""
    kind_of_place: str | msgspec.UnsetType = msgspec.UNSET
    """Hospital or pharmacy; empty where the other side is the institution itself."""
    month: str | msgspec.UnsetType = msgspec.UNSET
    """Such as `2026-03`; empty where there is no other side."""
    here: bool | msgspec.UnsetType = msgspec.UNSET
    """True where both sides are the institution's own."""


class AlertRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One alert. `next` cursors, stream ids and webhooks count by `number`."""

    number: int
    id: str
    alert_class: str = msgspec.field(name="class")
    meaning: str
    innocent: tuple[str, ...]
    """How it may have come about without any wrong."""
    kind: str
    """What was done: sold, claimed, returned …; empty where the asker's record is the earlier one."""
    code: str
    box: str
    product: str
    status: str
    reasons: tuple[str, ...]
    state: str
    """new, seen, asked, contested or closed."""
    side: Side
    """Whose record is in question; for an institution its own record."""
    other: OtherSide | None
    """Where the box was sold before, where it was; for an institution the other side without its name."""
    gap_seconds: int | None
    """Between the two records."""
    questioned: bool
    """For an institution: whether its own record is in question, or the other one."""
    review: str = ""
    evidence: str = ""
    """Hash of the sealed message."""


def wanted_within(scope: Scope, query: QueryParams | Mapping[str, str]) -> AlertsWanted:
    """The alerts that a caller asks for, within what the caller may see.

    Raises:
        Refused: a filter with a value that cannot be used.
    """
    region, institution = query.get("region", ""), query.get("institution", "").strip()
    if scope.parties is not None and (region or institution not in {"", *scope.parties}):
        # Who asks about others one after the other would learn who the other side is.
        where = "region" if region else "institution"
        raise Refused("not_allowed", where=where, value=region or institution, what="Only own records are seen here.")
    if not (region.isascii() and (region.isdigit() or not region)):
        raise Refused("field_unusable", where="region", value=region, what="A division code has six digits.")
    return AlertsWanted(
        scope_parties=scope.parties,
        scope_region=scope.region,
        scope_fund=scope.fund,
        region=significant(region),
        institution=institution,
        classes=_words(query, "class", tuple(CLASSES)),
        kinds=_words(query, "kind", KINDS),
        states=_words(query, "state", STATES),
        text=query.get("code", "").strip(),
        arrived_from=_moment(query, "from"),
        arrived_before=_moment(query, "until"),
    )


def _words(query: Mapping[str, str], name: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """The values of a filter, given several times or with commas between."""
    values = query.getlist(name) if isinstance(query, QueryParams) else [query.get(name, "")]
    words = tuple(dict.fromkeys(word.strip() for value in values for word in value.split(",") if word.strip()))
    for word in words:
        if word not in known:
            raise Refused("field_unusable", where=name, value=word, what=f"There are: {', '.join(known)}.")
    return words


def _moment(query: Mapping[str, str], name: str) -> int:
    """A time of the query as µs UTC; without a zone it is China's, a mere date its midnight there; 0 where absent."""
    text = query.get(name, "")
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in a query arrives as a blank
        return round((moment if moment.tzinfo else moment.replace(tzinfo=CHINA)).timestamp() * 1_000_000)
    except (ValueError, OverflowError) as error:
        raise Refused("field_unusable", where=name, value=text, what="A time is ISO 8601.") from error


def record_for(scope: Scope, alert: Alert, catalogue: Catalogue) -> AlertRecord:
    """The alert as the holder of a scope may see it; the alert must lie within the scope."""
    if scope.parties is None:
        return _whole(alert, catalogue)
    mine = (alert.institution, alert.other_institution)
    return _own(alert, next(code for code in mine if code in scope.parties), catalogue)


def _whole(alert: Alert, catalogue: Catalogue) -> AlertRecord:
    other = None
    if alert.other_institution:
        times = (alert.other_time, alert.other_arrived)
        side = _side(catalogue, alert.other_institution, alert.other_region, *times)
        other = OtherSide(**msgspec.structs.asdict(side))
    return AlertRecord(
        number=alert.number,
        id=alert.id,
        alert_class=alert.alert_class,
        meaning=alert.evidence["meaning"],
        innocent=tuple(alert.evidence["innocent"]),
        kind=alert.kind,
        code=alert.code,
        box=alert.box,
        product=alert.product,
        status=alert.status,
        reasons=alert.reasons,
        state=alert.state,
        side=_side(catalogue, alert.institution, alert.region, alert.event_time, alert.arrived),
        other=other,
        gap_seconds=alert.gap // 1_000_000 if alert.other_time else None,
        questioned=True,
        review=alert.evidence.get("review", ""),
        evidence=alert.document,
    )


def _own(alert: Alert, institution: str, catalogue: Catalogue) -> AlertRecord:
    own = own_side(alert, institution)
    region = alert.region if own.questioned else alert.other_region
    return AlertRecord(
        number=own.number,
        id=own.id,
        alert_class=own.alert_class,
        meaning=own.meaning,
        innocent=own.innocent,
        kind=own.kind,
        code=own.code,
        box=own.box,
        product=alert.product if own.questioned else "",
        status=own.status,
        reasons=own.reasons,
        state=own.state,
        side=_side(catalogue, institution, region, own.event_time, own.arrived),
        other=OtherSide(kind_of_place=own.kind_of_place, month=own.month, here=not own.elsewhere)
        if own.month or own.elsewhere
        else None,
        gap_seconds=None,
        questioned=own.questioned,
        evidence=alert.document if own.questioned else "",
    )


def _side(catalogue: Catalogue, code: str, region: str, event_time: int, arrived: int) -> Side:
    party = catalogue.party(code, day_of(arrived)) if arrived else None
    return Side(
        institution=code,
        name=party.name if party is not None else "",
        region=region,
        region_name=catalogue.region_name(region) if region else "",
        event_time=iso_time(event_time),
        arrived=iso_time(arrived),
    )
