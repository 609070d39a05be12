"""What an institution owes today, in words: what it is, until when, the next physical action, and where to mend it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Literal

import msgspec

from suyuan.catalogue.catalogue import Catalogue
from suyuan.catalogue.no_code import NoCodeEntry
from suyuan.codes import trace20
from suyuan.ledger.admission import DAY, iso_day
from suyuan.settlement.policy import Policy

LATE_HOURS = 24
"""An upload that comes later than this after what it tells is late (p): the day after is too late for a citizen who
checks the box he has just bought, and for the institution that wants to claim it."""

COVERAGE_DAYS = 90
"""The window of R15 and of the coverage shown to an institution."""

Urgency = Literal["overdue", "today", "soon", "later", "none"]

SOON_DAYS = 3


class Debt(msgspec.Struct, frozen=True):
    """One kind of thing owed, in words for its reader."""

    name: str
    title: str
    title_zh: str
    meaning: str
    meaning_zh: str
    action: str
    """The next physical action."""
    action_zh: str
    mend: str
    """Where it is mended: `scan`, `cancel` (and upload again) or `conflicts`."""
    after: str
    after_zh: str
    """What happens if nobody does anything."""


DEBTS: tuple[Debt, ...] = (
    Debt(
        "awaiting",
        "Codes to follow",
        "待扫码",
        "Settled before dispensing; the scan of the box is still to come.",
        "先结算后发药，尚缺追溯码",
        "Scan the box when it is handed out, with the visit number.",
        "发药时扫描药盒，并带上就诊号",
        "scan",
        "After the deadline the line counts as not scanned and is refused.",
        "逾期按未扫码处理，该明细不予支付",
    ),
    Debt(
        "not_scanned",
        "Missing codes",
        "缺失追溯码",
        "Sold or settled without the code that it needed.",
        "已销售或结算，但未上传应扫的追溯码",
        "Find the box or its packaging, cancel the record and send it again with the code.",
        "找到药盒或包装，撤销原记录后带码重新上传",
        "cancel",
        "It stays a gap in your coverage and can be asked about in an inspection.",
        "将持续计入漏扫，核查时需作说明",
    ),
    Debt(
        "hold",
        "Claims on hold",
        "暂缓支付",
        "The fund waits with the payment until the doubt is settled or the deadline passes.",
        "基金暂缓支付，待疑点消除或到期处理",
        "Do what the reason says: rescan, mark the split, or contest with the delivery note.",
        "按原因处理：重新扫码、标记拆零，或凭随货单申诉",
        "conflicts",
        "At the deadline it is paid if nobody else was paid for the box, otherwise refused.",
        "到期后，如该盒未被他处结算则支付，否则拒付",
    ),
    Debt(
        "refused",
        "Refused and not settled since",
        "被拒且未重新结算",
        "The settlement was refused and nothing took its place.",
        "结算被拒，之后未重新结算",
        "Take another box or scan again, then settle again.",
        "更换药盒或重新扫码后再次结算",
        "scan",
        "Nothing is paid. The institution bears it, not the patient.",
        "基金不支付，由机构承担，不得转嫁患者",
    ),
    Debt(
        "code_review",
        "Codes to scan again",
        "需重新扫码",
        "The text can be read as two codes, because the scanner dropped a separator.",
        "扫码枪丢失分隔符，存在两种读法",
        "Scan the box again with a scanner that keeps separators.",
        "更换保留分隔符的扫码枪重扫",
        "scan",
        "It opens no sale, and a claim of it stays on hold.",
        "该码不计入销售，相关结算暂缓支付",
    ),
)
"""In the order in which an institution should look at them."""

DEBT = {debt.name: debt for debt in DEBTS}
KINDS = tuple(DEBT)


class OwedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing owed. Times are µs UTC, amounts millionths of a yuan."""

    kind: str
    key: str
    sequence: int
    line: str
    """Number of the fee line; empty where it concerns the whole claim or a single code."""
    said: str
    """What the record says happened: sold, claimed, received …"""
    product: str
    """NHSA code as sent; empty where none was."""
    code: str
    count: int
    """Scans or packages that are missing."""
    amount: int
    event_time: int
    arrived: int
    deadline: int
    """0 where there is none of its own."""
    status: str
    reasons: tuple[str, ...]
    setting: str
    settlement: str
    reference: str
    """`visit:…`, `receipt:…`, the strongest number by which the sender knows it."""


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How much there is of one kind."""

    rows: int = 0
    count: int = 0
    amount: int = 0
    deadline: int = 0
    """The earliest one; 0 for none."""


def mend_until(row: OwedRow, policy: Policy) -> int:
    """Until when it can be mended: its own deadline, else the last moment at which the record can be undone (R25)."""
    if row.deadline:
        return row.deadline
    if row.kind != "not_scanned":
        return 0
    setting = row.setting or ("pharmacy" if "receipt:" in row.reference else "inpatient")
    return row.event_time + policy.undo_days[setting] * DAY


def urgency(until: int, now: int) -> Urgency:
    """How near a moment is, by the calendar of Beijing."""
    if not until:
        return "none"
    if until <= now:
        return "overdue"
    days = (date.fromisoformat(iso_day(until)) - date.fromisoformat(iso_day(now))).days
    if days == 0:
        return "today"
    return "soon" if days <= SOON_DAYS else "later"


def product_key_of(box: str) -> str:
    """The product in a box key: the first digits of a trace code, the part before the serial of any other.

    Texts that nobody can read share one key, `unknown`.
    """
    system, _, rest = box.partition(":")
    if system == "unknown":
        return system
    return f"{system}:{rest[: trace20.PREFIX] if system == 'trace20' else rest.rpartition(':')[0] or rest}"


# Stock without codes


class Remaining(msgspec.Struct, frozen=True, kw_only=True):
    """One declaration of stock without codes, and what is left of it (R20)."""

    nhsa: str
    name: str
    kind: str
    declared: int
    """Smallest packages; 0 for no limit."""
    used: int
    left: int
    """−1 for no limit."""
    until: str
    """ISO date of the last day; empty for an open end."""
    urgency: Urgency
    reference: str


def remaining(catalogue: Catalogue, institution: str, used: Mapping[tuple[str, str], int], now: int) -> list[Remaining]:
    """The declining balance of every declaration of an institution that has begun, those that end first first."""
    today = date.fromisoformat(iso_day(now))
    rows = [row for row in catalogue.content.no_code if row.institution == institution and row.valid_from <= today]
    found = [_remaining(row, catalogue, used.get((row.kind, row.nhsa), 0), today) for row in rows]
    return sorted(found, key=lambda row: (row.until or "9999", row.left, row.nhsa))


def _remaining(row: NoCodeEntry, catalogue: Catalogue, used: int, today: date) -> Remaining:
    unlimited = row.kind == "exempt" and not row.quantity
    open_end = row.until.year >= 9999  # noqa: PLR2004  the catalogue's word for an open end
    days = (row.until - today).days
    near: Urgency = "overdue" if days < 0 else "today" if days == 0 else "soon" if days <= SOON_DAYS else "later"
    product = catalogue.product(row.nhsa, min(today, row.until))
    return Remaining(
        nhsa=row.nhsa,
        name=product.name if product is not None else "",
        kind=row.kind,
        declared=row.quantity,
        used=used,
        left=-1 if unlimited else max(0, row.quantity - used),
        until="" if open_end else row.until.isoformat(),
        urgency="none" if open_end else near,
        reference=row.reference,
    )


# Coverage and lateness

CLASSES = {
    "X": ("Western medicine", "西药"),
    "Z": ("Chinese patent medicine", "中成药"),
    "T": ("Decoction pieces", "中药饮片"),
    "C": ("Consumables", "耗材"),
    "": ("Not named", "未注明"),
}
"""First letter of the NHSA code → product class in English and Chinese."""


def class_of(product: str) -> str:
    """The product class of a NHSA code, a key of `CLASSES`."""
    return product[:1] if product[:1] in CLASSES else ""


class Coverage(msgspec.Struct, kw_only=True):
    """Lines that needed a code, and how many of them had one."""

    needed: int = 0
    coded: int = 0
    exempt: int = 0
    """Lines that need no code: stock from before, exempt products, unreadable labels, virtual codes (R20)."""

    def add(self, other: "Coverage") -> None:
        """Count another part too."""
        self.needed += other.needed
        self.coded += other.coded
        self.exempt += other.exempt

    @property
    def share(self) -> str:
        """Percent with one decimal, cut and never rounded up to 100; empty where nothing needed a code."""
        if not self.needed:
            return ""
        tenths = self.coded * 1000 // self.needed
        return f"{tenths // 10}.{tenths % 10}"


def median_minutes(counts: Mapping[int, int]) -> int | None:
    """The lower median of a histogram {minutes: how many}; None for an empty one."""
    total = sum(counts.values())
    if not total:
        return None
    seen = 0
    for minutes in sorted(counts):
        seen += counts[minutes]
        if 2 * seen >= total:
            return minutes
    raise AssertionError("the counts of a histogram add up to its total")


def bucket_of(delay: int) -> int:
    """The minutes under which a delay (µs) is counted: exact below two hours, then whole hours, then whole days."""
    minutes = max(0, delay) // 60_000_000
    if minutes < 120:  # noqa: PLR2004  as the sentence above says
        return minutes
    return minutes - minutes % (60 if minutes < 2 * 24 * 60 else 24 * 60)


def last_days(now: int, days: int) -> str:
    """ISO date of the first of the last `days` days, today included."""
    return iso_day(now - (days - 1) * DAY)


def csv_line(values: Iterable[object]) -> str:
    """One line of a table for a spreadsheet: quoted, and no field is taken for a formula."""
    return ",".join(_cell(str(value)) for value in values) + "\r\n"


def _cell(text: str) -> str:
    if text[:1] in {"=", "+", "-", "@", "\t", "\r"}:
        text = f"'{text}"
    if len(text) >= 16 and text.isdigit():  # noqa: PLR2004  a spreadsheet keeps 15 digits of a number
        text = f"\t{text}"
    return '"' + text.replace('"', '""') + '"' if set(text) & set("\",\r\n\t'") else text


def merged(parts: Sequence[Coverage]) -> Coverage:
    """All parts together."""
    whole = Coverage()
    for part in parts:
        whole.add(part)
    return whole
