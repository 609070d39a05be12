"""An independent bookkeeper: keeps its own books from what was sent and answered, and compares them with the node's.

It shares no code with the ledger, the settlement or the intake; a fault there cannot hide here.
"""

import csv
import re
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from suyuan.simulation.country import TOTALS, TRUTH
from suyuan.simulation.play import ANSWERS, Answered, Counter, play_list, uploads
from suyuan.simulation.truth import Truth

SAMPLE = 500
"""Boxes whose story is checked beside all planted ones."""

SETTLEMENTS = {"2102": "druginfo", "2207": "data", "2304": "data"}
CANCELS = {"2103", "2208", "2305"}

REPEATS = {"resale", "swap", "clone", "repeated_settlement"}
"""Alert classes that speak of two sales."""

_TRACE = re.compile(r"8\d{19}")
_ELEMENTS = re.compile(r"\(01\)(\d{14})(?:\(\d+\)[^(]*)*?\(21\)([^(]+)")
_SSCC = re.compile(r"(?:^|/)00/?(\d{18})$")
_LINK = re.compile(r"/01/(\d{14})/21/([^/?]+)")

Story = Callable[[str], Mapping[str, Any]]
"""code → its story: `{"events": [{"kind", "actor", "event_time" (µs), "status", "verdict", "references", …}]}`.

`kind` is sold, claimed, returned, cancelled …; repeats that changed nothing need not be listed.
"""


class Claimed(msgspec.Struct, kw_only=True):
    """A claim as its sender and its answers tell it, known by institution and order (chrg_bchno)."""

    by: str
    order: str
    visit: str
    amount: int = 0
    paid: int = 0
    held: int = 0
    refused: int = 0
    settlement: str = ""
    verdict: str = ""
    """pay, hold or refuse, as answered."""
    codes: dict[str, tuple[str, Fraction]] = {}
    """Box → (verdict, part of the box)."""
    open: bool = False


class Books(msgspec.Struct, kw_only=True):
    """The auditor's own books, in millionths of a yuan and counts."""

    boxes: set[str] = set()
    parents: set[str] = set()
    codes_sent: int = 0
    """Codes in all lines that were taken, repeats too."""
    sales: int = 0
    """Sale reports of boxes, each fact once: repeats, rescans and equal lines not counted again."""
    lines_without_box: set[tuple[str, ...]] = set()
    """Sale lines without a box: no-code stock, exempt goods, the escape code, placeholders."""
    repeats: int = 0
    standing: dict[tuple[str, str], dict[str, None]] = {}
    """(institution, box) → references of its sales that stand."""
    batches: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    """(institution, batch number) → (institution, box, reference) of the sales that came under it."""
    uses: dict[str, set[tuple[str, str]]] = {}
    """Box → (institution, visit) of every sale report and every claim, refused ones too."""
    acknowledged: dict[str, list[tuple[str, int, str]]] = {}
    """Box → sales acknowledged, as (institution, µs UTC of the sale, visit)."""
    claims: dict[tuple[str, str], Claimed] = {}
    known_by: dict[tuple[str, str], tuple[str, str]] = {}
    """(institution, setl_id or msgid) → the claim."""
    drawn: dict[str, dict[tuple[str, str], Fraction]] = {}
    """Box → open paid claims with their parts."""
    fees: dict[tuple[str, str], tuple[int, Fraction]] = {}
    """(institution, feedetl_sn) → amount and quantity."""
    units: dict[str, int] = {}
    """Product prefix → units in a box."""
    reversed_first: set[tuple[str, str]] = set()
    """(institution, msgid) of reversals that came before what they reverse."""
    lots: dict[str, str] = {}
    """Box → its lot, as its maker says."""
    orders: dict[str, set[str]] = {}
    """What is under an order (box, product, or product and lot) → who gave orders that stand."""
    orders_read: set[bytes] = set()
    """Files with orders; the same bytes again order nothing."""
    orders_set: int = 0
    orders_lifted: int = 0
    refused_by_order: int = 0
    """Claims refused that name a box under an order."""
    findings: list[str] = []


class Audit(msgspec.Struct, kw_only=True):
    """What the auditor found. `differences` is empty where the books agree."""

    figures: dict[str, int]
    """The auditor's own: boxes (without cartons), packages (with them), codes_sent, sales (of boxes), sale_lines (with
    those of goods without codes), claims_paid, money_paid and so on, and of these claims_open and money_open."""
    compared: list[str]
    """Names of the node's figures that were compared."""
    stories: int
    differences: list[str]
    surprises: list[str]
    """Where the answers differ from what `truth_totals.json` expects of a platform that does everything right."""


def audit(
    folder: Path,
    figures: Mapping[str, int],
    story: Story | None = None,
    *,
    alerts: Iterable[Mapping[str, Any]] = (),
    sample: int = SAMPLE,
) -> Audit:
    """Compare a node with the books kept from `folder` (a played country).

    `figures` are the node's own counts under the names of `Audit.figures`; names it does not give are not compared.
    A claim counts once by institution and order, as last answered, later cancelled or not; money is in millionths
    of a yuan. `alerts` are dicts with `code`, `institution`, `class`, `box`.
    """
    books = keep_books(folder)
    own = own_figures(books)
    differences = list(books.findings)
    differences += [
        f"{name}: the node says {figures[name]:,}, the auditor counts {count:,}"
        for name, count in own.items()
        if figures.get(name, count) != count
    ]
    unknown = sorted(set(figures) - set(own))
    differences += [f"figure {name!r} of the node is none that the auditor knows" for name in unknown]
    differences += _unreasoned_alerts(books, alerts)
    checked = 0
    if story is not None:
        for code in _sampled(folder, books, sample):
            differences += check_story(books, code, story(code))
            checked += 1
    return Audit(
        figures=own,
        compared=[name for name in own if name in figures],
        stories=checked,
        differences=differences,
        surprises=_surprises(folder, own),
    )


def _surprises(folder: Path, own: Mapping[str, int]) -> list[str]:
    expected = msgspec.json.decode((folder / TOTALS).read_bytes())
    names = [name for name in own if name in expected]
    return [f"{name}: {expected[name]:,} expected, {own[name]:,} seen" for name in names if expected[name] != own[name]]


def own_figures(books: Books) -> dict[str, int]:
    """The auditor's counts, by the names that the node's figures must have."""
    claims = list(books.claims.values())
    count = Tally(claim.verdict for claim in claims)
    return {
        "boxes": len(books.boxes - books.parents),
        "packages": len(books.boxes | books.parents),
        "codes_sent": books.codes_sent,
        "sales": books.sales,
        "sale_lines": books.sales + len(books.lines_without_box),
        "claims_paid": count["pay"],
        "claims_held": count["hold"],
        "claims_refused": count["refuse"],
        "money_paid": sum(claim.paid for claim in claims),
        "money_held": sum(claim.held for claim in claims),
        "money_refused": sum(claim.refused for claim in claims),
        "claims_open": sum(claim.open for claim in claims),
        "money_open": sum(claim.paid for claim in claims if claim.open),
        "orders": books.orders_set,
        "orders_lifted": books.orders_lifted,
        "refused_by_order": books.refused_by_order,
    }


def keep_books(folder: Path) -> Books:
    """Read a played country from the first upload to the last."""
    books = Books(units=_units(folder))
    for entry, raw, answer in _sent(folder):
        if entry.kind == "table":
            _table(books, entry.by, raw)
        elif entry.kind == "epcis":
            _epcis(books, raw)
        else:
            _message(books, msgspec.json.decode(raw), msgspec.json.decode(answer))
    return books


def _sent(folder: Path) -> Iterator[tuple[Any, bytes, bytes]]:
    """Uploads as they were sent, setl_ids filled in from the answers, with their answers."""
    entries = play_list(folder)
    decoder = msgspec.json.Decoder(Answered)
    counter = Counter()
    with (folder / ANSWERS).open("rb") as lines:
        for (entry, raw), line in zip(uploads(folder, entries), lines, strict=True):
            answered = decoder.decode(line)
            if answered.skipped:
                continue
            answer = bytes(answered.answer)
            yield entry, counter.fill(raw), answer
            if entry.claim:
                counter.learn(entry.claim, answer)


def _units(folder: Path) -> dict[str, int]:
    path = folder / "catalogue" / "packages.csv"
    if not path.exists():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as lines:
        return {row["product_key"]: int(row["units"] or 0) for row in csv.DictReader(lines)}


def box_of(code: str) -> str:
    """Box key of a code that names one box; empty for placeholders, the escape code and everything else."""
    if _TRACE.fullmatch(code):
        return f"trace20:{code}"
    found = _ELEMENTS.match(code) or _LINK.search(code)
    return f"gs1:{found[1]}:{found[2]}" if found else ""


def carton_of(code: str) -> str:
    """Key of a larger package: an SSCC, or a code of the same kind as a box."""
    found = _SSCC.search(code)
    return f"sscc:{found[1]}" if found else box_of(code)


def _seen(books: Books, code: str) -> str:
    books.codes_sent += 1
    box = box_of(code)
    if box:
        books.boxes.add(box)
    return box


def _table(books: Books, by: str, raw: bytes) -> None:
    rows = list(csv.DictReader(raw.decode().splitlines()))
    if any("scope" in row for row in rows[:1]):
        _orders(books, by, raw, rows)
        return
    for row in rows:
        box = _seen(books, row["code"])
        if row["kind"] == "produced":
            books.lots[box] = row["lot"]
        if row.get("parent"):
            books.parents.add(carton_of(row["parent"]))
        elif row["kind"] in {"shipped", "received"}:
            books.parents.add(carton_of(row["code"]))  # firms move cartons, never single boxes


def _orders(books: Books, by: str, raw: bytes, rows: list[dict[str, str]]) -> None:
    """Orders stand from their acknowledgement on; only who gave one lifts it."""
    if raw in books.orders_read:
        return
    books.orders_read.add(raw)
    for row in rows:
        box = _seen(books, row["code"])
        product = product_of(box)
        target = {"code": box, "batch": f"{product}:{row['lot']}", "product": product}[row["scope"]]
        standing = books.orders.setdefault(target, set())
        if row["kind"] == "hold_set":
            standing.add(by)
            books.orders_set += 1
        elif by in standing:
            standing.remove(by)
            books.orders_lifted += 1


def _under_order(books: Books, box: str) -> bool:
    product = product_of(box)
    return any(books.orders.get(target) for target in (box, product, f"{product}:{books.lots.get(box, '')}"))


def _epcis(books: Books, raw: bytes) -> None:
    for event in msgspec.json.decode(raw)["epcisBody"]["eventList"]:
        for epc in event.get("epcList", []) + event.get("childEPCs", []):
            box = _seen(books, epc)
            if "cbvmda:lotNumber" in event.get("ilmd", {}):
                books.lots[box] = event["ilmd"]["cbvmda:lotNumber"]
        if "parentID" in event:
            books.parents.add(carton_of(event["parentID"]))


def _message(books: Books, body: dict[str, Any], answer: dict[str, Any]) -> None:
    infno, by, content = body["infno"].removesuffix("A"), body["fixmedins_code"], body["input"]
    taken = str(answer.get("infcode")) == "0"
    if infno in SETTLEMENTS:
        _claim(books, infno, body, answer)
    elif not taken:
        return
    elif infno in {"2204", "2301"}:
        _fees(books, by, content["feedetail"])
    elif infno in CANCELS:
        _release(books, by, content["data"]["setl_id"])
    elif infno == "2601":
        original = content["data"]["omsgid"]
        if (by, original) not in books.known_by:
            books.reversed_first.add((by, original))
        _release(books, by, original)
    elif infno == "3507":
        _delete(books, by, content["data"]["fixmedins_bchno"])
    elif infno.startswith("35"):
        _goods(books, infno, by, content, answer)


def _millionths(yuan: object) -> int:
    return round(float(str(yuan or 0)) * 1_000_000)


def _fees(books: Books, by: str, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        books.fees[(by, row["feedetl_sn"])] = (_millionths(row["det_item_fee_sumamt"]), Fraction(str(row["cnt"])))


def _claim(books: Books, infno: str, body: dict[str, Any], answer: dict[str, Any]) -> None:
    """Book a settlement as answered; the same order again must be told the same."""
    by, content = body["fixmedins_code"], body["input"]
    data = content[SETTLEMENTS[infno]]
    _fees(books, by, content.get("drugdetail", []))
    for row in content.get("drug_trac_info", []):
        box = _seen(books, row["drug_trac_codg"])
        books.uses.setdefault(box, set()).add((by, data["mdtrt_id"]))
    key = (by, data["chrg_bchno"])
    claim = books.claims.setdefault(key, Claimed(by=by, order=key[1], visit=data["mdtrt_id"]))
    books.known_by[(by, body["msgid"])] = key
    taken = str(answer.get("infcode")) == "0"
    settled = ((answer.get("output") or {}).get("setlinfo") or {}) if taken else {}
    settlement = str(settled.get("setl_id", ""))
    if claim.open:
        if settlement != claim.settlement:
            books.findings.append(
                f"claim {by} {key[1]}: answered with settlement {claim.settlement}, "
                f"its repeat with {settlement or 'a refusal'}"
            )
        return
    if claim.settlement and claim.settlement == settlement:
        return  # a byte-equal repeat gets its first answer, even after a cancel
    _book_money(books, claim, _millionths(data["medfee_sumamt"]), settled, taken=taken)
    named = {box_of(row["drug_trac_codg"]) for row in content.get("drug_trac_info", [])}
    books.refused_by_order += not taken and any(_under_order(books, box) for box in named if box)
    if taken:
        claim.settlement, claim.open = settlement, True
        books.known_by[(by, settlement)] = key
        claim.codes = _codes_of_claim(books, by, content, answer["output"])
        if (by, body["msgid"]) in books.reversed_first:
            books.findings.append(f"claim {by} {key[1]}: its message was reversed before it arrived, and was taken")
        _check_orders(books, claim)
        _draw(books, key, claim)


def _book_money(books: Books, claim: Claimed, amount: int, settled: dict[str, Any], *, taken: bool) -> None:
    claim.amount = amount
    if not taken:
        claim.verdict, claim.paid, claim.held, claim.refused = "refuse", 0, 0, amount
        return
    claim.paid = _millionths(settled.get("fund_pay_sumamt", settled.get("medfee_sumamt")))
    claim.held = _millionths(settled.get("trac_hold_sumamt"))
    claim.refused = _millionths(settled.get("trac_refuse_sumamt"))
    claim.verdict = "hold" if claim.held else "pay"
    if claim.paid + claim.held + claim.refused != amount:
        books.findings.append(
            f"claim {claim.by} {claim.order}: asked for {_yuan(amount)}, answered paid {_yuan(claim.paid)}, "
            f"held {_yuan(claim.held)}, refused {_yuan(claim.refused)}; that is not the same"
        )


def _codes_of_claim(
    books: Books, by: str, content: dict[str, Any], output: dict[str, Any]
) -> dict[str, tuple[str, Fraction]]:
    """Which boxes a taken claim is for, with verdict and part: from its own rows, else from the verdicts (2304)."""
    told = [row for row in output.get("trac_verdicts", []) if row.get("drug_trac_codg")]
    said = {box_of(row["drug_trac_codg"]): row for row in told}
    codes = {}
    for row in content.get("drug_trac_info") or told:
        box = box_of(row["drug_trac_codg"])
        if box:
            verdict = said.get(box, {}).get("verdict", "pay")
            codes[box] = (verdict, _part(books, by, box, row))
    return codes


def _part(books: Books, by: str, box: str, row: dict[str, Any]) -> Fraction:
    if row.get("trdn_flag") != "1":
        return Fraction(1)
    _, quantity = books.fees.get((by, row["feedetl_sn"]), (0, Fraction(1)))
    units = books.units.get(product_of(box), 0)
    return quantity / units if units else Fraction(0)


def product_of(box: str) -> str:
    """Product key of a box key."""
    system, _, rest = box.partition(":")
    return f"{system}:{rest[:7]}" if system == "trace20" else f"{system}:{rest.partition(':')[0]}"


def _check_orders(books: Books, claim: Claimed) -> None:
    """From its acknowledgement on, nothing under an order is paid (R17)."""
    books.findings += [
        f"box {box}: claim {claim.by} {claim.order} was told {verdict} after the order on it was acknowledged"
        for box, (verdict, _) in claim.codes.items()
        if verdict != "refuse" and _under_order(books, box)
    ]


def _draw(books: Books, key: tuple[str, str], claim: Claimed) -> None:
    """At most one open paid claim a box; of a split box at most all of its units together."""
    for box, (verdict, part) in claim.codes.items():
        if verdict != "pay":
            continue
        drawn = books.drawn.setdefault(box, {})
        if sum(drawn.values(), part) > 1:
            others = ", ".join(f"{by} {order}" for by, order in drawn)
            books.findings.append(f"box {box} paid twice: to {key[0]} {key[1]} while {others} is open")
        drawn[key] = part


def _release(books: Books, by: str, number: str) -> None:
    """A cancel (by setl_id) or a reversal (by msgid) gives back exactly what its claim drew."""
    key = books.known_by.get((by, number))
    if key is not None and books.claims[key].open:
        books.claims[key].open = False
        for box in books.claims[key].codes:
            books.drawn.get(box, {}).pop(key, None)


def _goods(books: Books, infno: str, by: str, content: dict[str, Any], answer: dict[str, Any]) -> None:
    node, value = next(iter(content.items()))
    rows = value if isinstance(value, list) else [value]
    output = answer.get("output") or {}
    failed = _failed_rows(output, node, single=not isinstance(value, list))
    ordinals: Tally[tuple[str, str]] = Tally()
    for index, row in enumerate(rows):
        if index in failed:
            continue
        codes = [trace["drug_trac_codg"] for trace in row.get("drugtracinfo") or []]
        if infno == "3505" and not codes:
            _sale_without_box(books, by, row, "", ordinals)
        for code in codes:
            box = _seen(books, code)
            if infno == "3505" and not box:
                _sale_without_box(books, by, row, code, ordinals)
            elif infno == "3505":
                _sale(books, by, row, box, ordinals)
            elif infno == "3506" and box:
                _return(books, by, row, box)


def _failed_rows(output: dict[str, Any], node: str, *, single: bool) -> set[int]:
    """Rows that the answer says were not taken: all of a single message, or those on an error list."""
    if single:
        return {0} if str((output.get("result") or {}).get("retRslt", "1")) == "0" else set()
    told = [row for name, rows in output.items() if name.endswith("ErrDetail") for row in rows]
    places = [str(row.get("memo", "")) for row in told if str(row.get("retRslt")) == "0"]
    return {int(place[len(node) + 1 : -1]) for place in places if place.startswith(f"{node}[")}


def _sale(books: Books, by: str, row: dict[str, Any], box: str, ordinals: Tally[tuple[str, str]]) -> None:
    """One sale fact: institution, strongest reference, box; a receipt belongs to its day."""
    reference = row["setl_id"] or row["mdtrt_sn"] or f"{row['rtal_docno']}@{row['sel_retn_time'][:10]}"
    if row["trdn_flag"] == "1":
        # Two equal lines of a split box in one message are two uses of it.
        ordinals[(box, reference)] += 1
        reference = f"{reference}#{ordinals[(box, reference)]}"
    books.uses.setdefault(box, set()).add((by, row["mdtrt_sn"]))
    books.batches.setdefault((by, row["fixmedins_bchno"]), []).append((by, box, reference))
    standing = books.standing.setdefault((by, box), {})
    if reference in standing:
        books.repeats += 1
        return
    standing[reference] = None
    books.sales += 1
    sold = (by, _instant(row["sel_retn_time"]), row["mdtrt_sn"])
    books.acknowledged.setdefault(box, []).append(sold)


def _sale_without_box(books: Books, by: str, row: dict[str, Any], code: str, ordinals: Tally[tuple[str, str]]) -> None:
    """A sale of goods without a code of their own, or with a placeholder: told apart by product and ordinal."""
    line = (f"{row['mdtrt_sn']}|{row['rtal_docno']}", f"{row['med_list_codg']}|{code}")
    ordinals[line] += 1
    books.lines_without_box.add((by, *line, str(ordinals[line])))


def _return(books: Books, by: str, row: dict[str, Any], box: str) -> None:
    """A return takes one standing sale of the box at that institution away: the quoted one, else any."""
    own = books.standing.get((by, box), {})
    exact = [reference for reference in own if reference in {row["setl_id"], row["mdtrt_sn"]}]
    for reference in (exact or list(own))[:1]:
        del own[reference]


def _delete(books: Books, by: str, batch: str) -> None:
    for institution, box, reference in books.batches.pop((by, batch), []):
        books.standing[(institution, box)].pop(reference, None)


def _instant(written: str) -> int:
    """µs UTC of `yyyy-MM-dd HH:mm:ss` in Beijing."""
    return int(datetime.fromisoformat(f"{written}+08:00").timestamp()) * 1_000_000


def _unreasoned_alerts(books: Books, alerts: Iterable[Mapping[str, Any]]) -> list[str]:
    """Alerts that speak of a repeat although, by these books, the box was sold or claimed in one visit only."""
    found = []
    for alert in alerts:
        box = str(alert.get("box") or box_of(str(alert.get("code", ""))))
        if alert.get("class") in REPEATS and len(books.uses.get(box, ())) < len(("earlier", "later")):
            found.append(f"alert {alert.get('class')} on {box}: these books know of no second visit with it")
    return found


def check_story(books: Books, code: str, told: Mapping[str, Any]) -> list[str]:
    """Differences between the books and the node's story of one box."""
    box = box_of(code)
    events = list(told.get("events", []))
    found = []
    sold = Tally(
        (event["actor"], event.get("references", {}).get("visit", "")) for event in events if event["kind"] == "sold"
    )
    for institution, at, visit in books.acknowledged.get(box, []):
        if not (sold[(institution, visit)] or sold[(institution, "")]):
            found.append(
                f"box {box}: the sale at {institution}, visit {visit}, {at} was acknowledged and is not in the story"
            )
    ended = {event["corrects"] for event in events if event["kind"] == "due" and event.get("verdict") == "pay"}
    released = {
        str(event.get("references", {}).get("settlement", ""))
        for event in events
        if event["kind"] in {"cancelled", "reversed"}
    }
    paid = {
        str(event["references"].get("settlement", ""))
        for event in events
        if event["kind"] == "claimed"
        and event.get("drawn", True)
        and (event.get("verdict") == "pay" or event.get("sequence") in ended)
    }
    settled = {event["corrects"] for event in events if event["kind"] == "due"}
    held = {
        str(event["references"].get("settlement", ""))
        for event in events
        if event["kind"] == "claimed" and event.get("verdict") == "hold" and event.get("sequence") not in settled
    }
    open_paid = {f"{settlement}" for settlement in paid - released}
    whole = all(part == 1 for part in books.drawn.get(box, {}).values())
    if whole and len(open_paid) > 1:
        found.append(f"box {box}: its story shows {len(open_paid)} open paid claims ({', '.join(sorted(open_paid))})")
    for key in books.drawn.get(box, {}):
        settlement = books.claims[key].settlement
        on_hold = books.claims[key].codes[box][0] == "hold" and settlement in held
        if settlement not in paid and not on_hold:
            found.append(
                f"box {box}: {key[0]} was told that settlement {settlement} is paid; the story does not say so"
            )
    return found


def _sampled(folder: Path, books: Books, sample: int) -> Iterator[str]:
    """Codes of all planted boxes, and evenly spread ones of all boxes."""
    planted: list[str] = []
    decoder = msgspec.json.Decoder(Truth)
    for line in (folder / TRUTH).read_bytes().splitlines():
        truth = decoder.decode(line)
        if truth.planted:
            planted += truth.codes
    boxes = sorted(books.boxes - books.parents)
    step = max(1, len(boxes) // sample) if sample else 1
    spread = (_code_of(box) for box in islice(boxes, 0, None, step)) if sample else iter(())
    yield from dict.fromkeys([*planted, *spread])


def _code_of(box: str) -> str:
    system, *rest = box.split(":")
    return rest[0] if system == "trace20" else f"(01){rest[0]}(21){rest[1]}"


def _yuan(amount: int) -> str:
    return f"{amount / 1_000_000:,.2f}"
