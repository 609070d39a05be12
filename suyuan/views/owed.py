"""What each institution owes: scans that are awaited, codes that are missing, holds, refusals, codes to read again."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert

from suyuan.ledger.box import NOT_A_SALE
from suyuan.ledger.events import Event
from suyuan.ledger.statuses import STATUS
from suyuan.lookup.owed import KINDS, OwedRow, Tally, product_key_of

_METADATA = sa.MetaData()
_ITEMS = sa.Table(
    "owed_items",
    _METADATA,
    sa.Column("kind", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("line", sa.Text, primary_key=True),
    sa.Column("institution", sa.Text, nullable=False),
    sa.Column("said", sa.Text, nullable=False),
    sa.Column("product", sa.Text, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("event_time", sa.BigInteger, nullable=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
    sa.Column("deadline", sa.BigInteger, nullable=False),
    sa.Column("deadline_by", sa.Integer, nullable=False),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),
    sa.Column("setting", sa.Text, nullable=False),
    sa.Column("settlement", sa.Text, nullable=False),
    sa.Column("reference", sa.Text, nullable=False),
    sa.Column("shown", sa.Boolean, nullable=False),
    sa.Index("owed_items_of", "institution", "kind", "deadline", "arrived"),
    sa.Index("owed_items_again", "kind", "line"),
)
"""`shown` is false for the second reading of a code under review, which stands under both; `deadline_by` is the
sequence of the event that carries the deadline of a hold."""
_UNMAPPED = sa.Table(
    "owed_unmapped",
    _METADATA,
    sa.Column("institution", sa.Text, primary_key=True),
    sa.Column("product_key", sa.Text, primary_key=True),
    sa.Column("sold", sa.Integer, nullable=False),
    sa.Column("claimed", sa.Integer, nullable=False),
    sa.Column("moved", sa.Integer, nullable=False),
    sa.Column("first", sa.BigInteger, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("product", sa.Text, nullable=False),
)
_BALANCES = sa.Table(
    "owed_balances",
    _METADATA,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("institution", sa.Text, nullable=False, index=True),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("product", sa.Text, nullable=False),
    sa.Column("sold", sa.BigInteger, nullable=False),
    sa.Column("claimed", sa.BigInteger, nullable=False),
    sa.Column("arrived", sa.BigInteger, nullable=False),
)

_OTHER_KEYS = ("message:", "batch:", "hold:", "alert:", "report:")
_COUNTED = frozenset({"legacy", "exempt", "unreadable", "virtual", "escape"})
"""Balances of what goes without a code of its own; those of lots are stock, not debt."""
_UNDOING = frozenset({"cancelled", "reversed", "corrected", "returned"})
_REVIEW_ENDED = _UNDOING | {"due"}
"""A review ends with what it was said in, also where the hold of a claim ran out."""
_MOVED = frozenset({"produced", "packed", "unpacked", "shipped", "received", "refused", "counted", "changed", "exited"})
_KEYS_AT_ONCE = 500
"""Values in one SQL list; SQLite takes 32,766 in all."""


class Owed:
    """The view: rows come with what opens a debt and go with what settles it."""

    name = "owed"
    version = 2
    metadata = _METADATA

    def apply(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        """Take the next events into account."""
        page = _Page(connection, events)
        for event in events:
            key = event.key
            if key.startswith("claim:"):
                _STEPS_OF_CLAIM.get(event.kind, _Page.pass_over)(page, event)
            elif key.startswith("balance:"):
                page.balance(event)
            elif key.startswith("line:"):
                page.take_line(event)
            elif not key.startswith(_OTHER_KEYS):
                page.take_box(event)
        page.write()


class _Page:
    """One page of the feed on its way into the tables."""

    def __init__(self, connection: sa.Connection, events: Sequence[Event]) -> None:
        self.connection = connection
        self.reviews = _reviews_of(connection, [event.key for event in events])
        """Rows under review by box key, as (institution, what was said, fact)."""
        self.refused = _refused_of(connection, [event.key for event in events if event.kind == "claimed"])
        """Key and fact of the refusals that are owed, as far as this page may settle them."""
        self.balances: dict[str, dict[str, Any]] = {}
        self.unmapped: dict[tuple[str, str], dict[str, Any]] = {}

    def write(self) -> None:
        """Write what the page has gathered."""
        if self.balances:
            statement = insert(_BALANCES)
            new = {name: statement.excluded[name] for name in ("sold", "claimed", "arrived")}
            self.connection.execute(
                statement.on_conflict_do_update(index_elements=["key"], set_=new), list(self.balances.values())
            )
        if self.unmapped:
            self._write_unmapped()

    def _write_unmapped(self) -> None:
        statement = insert(_UNMAPPED)
        more = {name: _UNMAPPED.c[name] + statement.excluded[name] for name in ("sold", "claimed", "moved")}
        ends: dict[str, Any] = {
            "first": sa.func.min(_UNMAPPED.c.first, statement.excluded.first),
            "last": sa.func.max(_UNMAPPED.c.last, statement.excluded.last),
        }
        self.connection.execute(
            statement.on_conflict_do_update(index_elements=["institution", "product_key"], set_={**more, **ends}),
            list(self.unmapped.values()),
        )

    # Claim files

    def claimed(self, event: Event) -> None:
        """A settlement, or a refusal; the pointer to a settlement says nothing new."""
        if not event.detail or "answer" not in event.detail:
            return
        if (event.key, event.fact) in self.refused:
            self.refused.discard((event.key, event.fact))
            self._delete(_ITEMS.c.kind == "refused", _ITEMS.c.key == event.key, _ITEMS.c.line == event.fact)
        answer = event.detail["answer"]
        if event.verdict == "refuse":
            self.refused.add((event.key, event.fact))
            product = next((line["product"] for line in answer["lines"] if line["verdict"] == "refuse"), "")
            self._add(event, "refused", line=event.fact, product=product, amount=answer["refused"])
            return
        awaiting: dict[str, Any] = event.detail["awaiting"]
        for line, row in awaiting.items():
            deadline = event.deadline
            self._add(event, "awaiting", line=line, product=row["product"], count=row["count"], deadline=deadline)
        for place, line in enumerate(answer["lines"]):
            if "not_scanned" in line["reasons"] and line["line"] not in awaiting:
                name = line["line"] or f"#{place}"
                self._add(event, "not_scanned", line=name, product=line["product"], amount=line["amount"])
        if event.verdict == "hold":
            product = next((line["product"] for line in answer["lines"] if line["verdict"] == "hold"), "")
            deadline, by = (0, 0) if awaiting else (event.deadline, event.sequence)
            self._add(event, "hold", product=product, amount=answer["held"], deadline=deadline, deadline_by=by)

    def filled(self, event: Event) -> None:
        """Scans reached waiting lines, or a hold beside them got a deadline of its own."""
        own = (_ITEMS.c.key == event.key, _ITEMS.c.sequence == event.corrects)
        for line, _, _ in event.detail["filled"]:
            waiting = (*own, _ITEMS.c.kind == "awaiting", _ITEMS.c.line == line)
            self.connection.execute(_ITEMS.update().where(*waiting).values(count=_ITEMS.c.count - 1))
            self._delete(*waiting, _ITEMS.c.count <= 0)
        if event.deadline:
            change = _ITEMS.update().where(*own, _ITEMS.c.kind == "hold")
            self.connection.execute(change.values(deadline=event.deadline, deadline_by=event.sequence))

    def undone(self, event: Event) -> None:
        """A settlement was cancelled or reversed: nothing of it is owed."""
        self._delete(_ITEMS.c.key == event.key, _ITEMS.c.sequence == event.corrects, _ITEMS.c.kind.in_(_OF_SETTLEMENT))

    def fell_due(self, event: Event) -> None:
        """A deadline passed: what waited for a scan is now not scanned, a hold has ended."""
        detail = event.detail or {}
        if "ended" in detail:
            self._delete(_ITEMS.c.kind == "hold", _ITEMS.c.key == event.key, _ITEMS.c.deadline_by == event.corrects)
            return
        own = (_ITEMS.c.key == event.key, _ITEMS.c.sequence == event.corrects)
        if "not_scanned" in detail:
            late = _ITEMS.update().where(*own, _ITEMS.c.kind == "awaiting")
            self.connection.execute(
                late.values(kind="not_scanned", status="not_scanned", reasons="not_scanned", arrived=event.arrived)
            )
        else:
            self._delete(*own, _ITEMS.c.kind == "awaiting")

    def pass_over(self, event: Event) -> None:
        """Fee lines and sale reports in a claim's file open no debt."""

    # Lines and boxes

    def take_line(self, event: Event) -> None:
        """A sale without a code that needed one; or its deletion."""
        if event.kind == "sold" and "not_scanned" in event.reasons and event.verdict != "refuse":
            self._add(event, "not_scanned", line=event.line, product=event.product, count=max(1, event.n))
        elif event.kind in _UNDOING and event.corrects:
            self._delete(_ITEMS.c.kind == "not_scanned", _ITEMS.c.key == event.key, _ITEMS.c.sequence == event.corrects)

    def take_box(self, event: Event) -> None:
        """A code that reads in two ways, or that belongs to no product known here; what mends either."""
        if event.kind in _REVIEW_ENDED and event.corrects:
            self._review_undone(event)
        elif event.verdict == "refuse":
            pass  # the refused claim itself is what is owed
        elif "code_review" in event.reasons:
            self._under_review(event)
        elif event.key in self.reviews and event.status not in NOT_A_SALE:
            self._read_again(event)
        if "unmapped" in event.reasons and event.status not in NOT_A_SALE and not event.key.startswith("sscc:"):
            self._not_mapped(event)

    def _under_review(self, event: Event) -> None:
        again = _ITEMS.select().where(_ITEMS.c.kind == "code_review", _ITEMS.c.line == event.fact)
        rows = self.connection.execute(again).all()
        if any(row.key == event.key for row in rows):
            return
        self._add(event, "code_review", line=event.fact, product=event.product, shown=not rows)
        self.reviews.setdefault(event.key, []).append((event.actor, event.kind, event.fact))

    def _read_again(self, event: Event) -> None:
        """The same institution says the same of a box that one of the readings named: this was meant."""
        for institution, said, fact in list(self.reviews[event.key]):
            if (institution, said) == (event.actor, event.kind):
                self._end_review(fact)

    def _review_undone(self, event: Event) -> None:
        row = self.connection.execute(
            _ITEMS.select().where(
                _ITEMS.c.kind == "code_review", _ITEMS.c.key == event.key, _ITEMS.c.sequence == event.corrects
            )
        ).first()
        if row is not None:
            self._end_review(row.line)

    def _end_review(self, fact: str) -> None:
        self._delete(_ITEMS.c.kind == "code_review", _ITEMS.c.line == fact)
        for key, entries in list(self.reviews.items()):
            self.reviews[key] = [entry for entry in entries if entry[2] != fact]
            if not self.reviews[key]:
                del self.reviews[key]

    def _not_mapped(self, event: Event) -> None:
        product_key = product_key_of(event.key)
        row = self.unmapped.setdefault(
            (event.actor, product_key),
            {
                "institution": event.actor,
                "product_key": product_key,
                "sold": 0,
                "claimed": 0,
                "moved": 0,
                "first": event.arrived,
                "last": event.arrived,
                "key": event.key,
                "product": event.product,
            },
        )
        said = "moved" if event.kind in _MOVED else event.kind
        if said in row:
            row[said] += 1
        row["last"] = event.arrived

    def balance(self, event: Event) -> None:
        """The running totals of a balance."""
        _, kind, rest = event.key.split(":", 2)
        if kind not in _COUNTED or not event.detail:
            return
        institution, _, rest = rest.partition(":")
        self.balances[event.key] = {
            "key": event.key,
            "institution": institution,
            "kind": kind,
            "product": rest.rpartition(":")[0],
            "sold": event.detail["sold"],
            "claimed": event.detail["claimed"],
            "arrived": event.arrived,
        }

    def _add(self, event: Event, kind: str, *, line: str = "", shown: bool = True, **known: object) -> None:
        references = event.references
        named = ("visit", "order", "receipt", "original", "delivery", "bill", "batch")
        values = {
            "kind": kind,
            "key": event.key,
            "sequence": event.sequence,
            "line": line,
            "institution": event.actor,
            "said": event.kind,
            "product": "",
            "code": _code_of(event),
            "count": 1,
            "amount": 0,
            "event_time": event.event_time,
            "arrived": event.arrived,
            "deadline": 0,
            "deadline_by": 0,
            "status": event.status if kind != "awaiting" else "awaiting_scan",
            "reasons": " ".join(event.reasons),
            "setting": (event.detail or {}).get("setting", ""),
            "settlement": references.get("settlement", ""),
            "reference": next((f"{name}:{references[name]}" for name in named if references.get(name)), ""),
            "shown": shown,
            **known,
        }
        self.connection.execute(insert(_ITEMS).values(values).prefix_with("OR REPLACE"))

    def _delete(self, *conditions: sa.ColumnElement[bool]) -> None:
        self.connection.execute(_ITEMS.delete().where(*conditions))


_OF_SETTLEMENT = ("awaiting", "not_scanned", "hold")
_STEPS_OF_CLAIM = {
    "claimed": _Page.claimed,
    "corrected": _Page.filled,
    "cancelled": _Page.undone,
    "reversed": _Page.undone,
    "due": _Page.fell_due,
}


def _code_of(event: Event) -> str:
    """What was scanned, as far as the record says: the serialised code of a box, the text of a line."""
    if event.key.startswith(("claim:", "line:")):
        return str((event.detail or {}).get("code", "")) if event.key.startswith("line:") else ""
    return event.key


def _reviews_of(connection: sa.Connection, keys: Iterable[str]) -> dict[str, list[tuple[str, str, str]]]:
    """Open reviews of the keys; none are looked for where none are open, as on most nodes most of the time."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    open_ones = _ITEMS.select().where(_ITEMS.c.kind == "code_review")
    if connection.execute(open_ones.limit(1)).first() is None:
        return found
    wanted = list(dict.fromkeys(keys))
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        some = open_ones.where(_ITEMS.c.key.in_(wanted[start : start + _KEYS_AT_ONCE]))
        for row in connection.execute(some):
            found.setdefault(row.key, []).append((row.institution, row.said, row.line))
    return found


def _refused_of(connection: sa.Connection, keys: Iterable[str]) -> set[tuple[str, str]]:
    """Refusals owed under these claim files, as key and fact."""
    refused = sa.select(_ITEMS.c.key, _ITEMS.c.line).where(_ITEMS.c.kind == "refused")
    wanted = [key for key in dict.fromkeys(keys) if key.startswith("claim:")]
    found: set[tuple[str, str]] = set()
    for start in range(0, len(wanted), _KEYS_AT_ONCE):
        some = refused.where(_ITEMS.c.key.in_(wanted[start : start + _KEYS_AT_ONCE]))
        found |= {(row.key, row.line) for row in connection.execute(some)}
    return found


OWED = Owed()


# Questions. Each is about one institution: who may ask is decided before (`portals/access.py`).


class Page(msgspec.Struct):
    """A part of a list and where the next one begins."""

    rows: list[OwedRow]
    after: tuple[int, int, str, int, str] | None = None
    """Sort key of the last row; None where there are no more."""


_SORT = (_ITEMS.c.deadline, _ITEMS.c.arrived, _ITEMS.c.key, _ITEMS.c.sequence, _ITEMS.c.line)


def tallies(connection: sa.Connection, institution: str) -> dict[str, Tally]:
    """How much there is of each kind in `lookup.owed.KINDS`: rows, scans or lines, money, the earliest deadline."""
    query = (
        sa.select(
            _ITEMS.c.kind,
            sa.func.count(),
            sa.func.sum(_ITEMS.c.count),
            sa.func.sum(_ITEMS.c.amount),
            sa.func.min(sa.case((_ITEMS.c.deadline > 0, _ITEMS.c.deadline))),
        )
        .where(_ITEMS.c.institution == institution, _ITEMS.c.shown)
        .group_by(_ITEMS.c.kind)
    )
    found = {kind: Tally() for kind in KINDS}
    for kind, rows, count, amount, deadline in connection.execute(query):
        found[kind] = Tally(rows=rows, count=count, amount=amount, deadline=deadline or 0)
    return found


def list_owed(
    connection: sa.Connection,
    institution: str,
    kind: str,
    *,
    after: tuple[int, int, str, int, str] | None = None,
    limit: int = 50,
    product: str = "",
    until: int = 0,
) -> Page:
    """Rows of one kind, the most urgent first; `until` (µs UTC) keeps those with a deadline up to then."""
    query = _ITEMS.select().where(_ITEMS.c.institution == institution, _ITEMS.c.kind == kind, _ITEMS.c.shown)
    if product:
        query = query.where(_ITEMS.c.product.startswith(product, autoescape=True))
    if until:
        query = query.where(_ITEMS.c.deadline > 0, _ITEMS.c.deadline <= until)
    if after is not None:
        query = query.where(sa.tuple_(*_SORT) > sa.tuple_(*after))
    rows = connection.execute(query.order_by(*_SORT).limit(limit + 1)).all()
    shown = [_row(row) for row in rows[:limit]]
    last = rows[limit - 1] if len(rows) > limit else None
    return Page(shown, None if last is None else (last.deadline, last.arrived, last.key, last.sequence, last.line))


def _row(row: Any) -> OwedRow:  # noqa: ANN401  a row of the driver
    return OwedRow(
        kind=row.kind,
        key=row.key,
        sequence=row.sequence,
        line=row.line if row.kind not in {"refused", "code_review"} else "",
        said=row.said,
        product=row.product,
        code=row.code,
        count=row.count,
        amount=row.amount,
        event_time=row.event_time,
        arrived=row.arrived,
        deadline=row.deadline,
        status=row.status,
        reasons=tuple(reason for reason in row.reasons.split() if reason in STATUS),
        setting=row.setting,
        settlement=row.settlement,
        reference=row.reference,
    )


class Unmapped(msgspec.Struct, kw_only=True):
    """One prefix that no product is known for, and how often this institution said something of its boxes."""

    product_key: str
    sold: int
    claimed: int
    moved: int
    first: int
    last: int
    key: str
    """The first box of it, as an example."""
    product: str
    """NHSA code that the institution named beside it; empty for none."""


def list_unmapped(connection: sa.Connection, institution: str) -> list[Unmapped]:
    """All prefixes that were unmapped when the institution used them, the most used first."""
    used = _UNMAPPED.c.sold + _UNMAPPED.c.claimed + _UNMAPPED.c.moved
    query = _UNMAPPED.select().where(_UNMAPPED.c.institution == institution).order_by(used.desc(), _UNMAPPED.c.first)
    return [
        Unmapped(
            product_key=row.product_key,
            sold=row.sold,
            claimed=row.claimed,
            moved=row.moved,
            first=row.first,
            last=row.last,
            key=row.key,
            product=row.product,
        )
        for row in connection.execute(query)
    ]


def balances_of(connection: sa.Connection, institution: str) -> dict[tuple[str, str], int]:
    """Units used without a code, by kind and product: the larger of what was sold and what was claimed (R20)."""
    query = (
        sa.select(
            _BALANCES.c.kind, _BALANCES.c.product, sa.func.sum(_BALANCES.c.sold), sa.func.sum(_BALANCES.c.claimed)
        )
        .where(_BALANCES.c.institution == institution)
        .group_by(_BALANCES.c.kind, _BALANCES.c.product)
    )
    return {(kind, product): max(sold, claimed) for kind, product, sold, claimed in connection.execute(query)}
