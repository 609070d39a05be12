"""Hospitals, clinics and pharmacies: how each turns a visit into the messages that it really sends."""

from typing import Any, Literal

import msgspec

from suyuan.simulation import messages
from suyuan.simulation.truth import Deed, Role, Truth
from suyuan.simulation.world import (
    DAY,
    HOUR,
    MINUTE,
    Box,
    Country,
    Line,
    Person,
    Place,
    Upload,
    Visit,
    boxes_as_lines,
    day_name,
)

Scanned = Literal["all", "some", "none"]
"""How many codes stand in the claim itself; the rest come with the sale report (R13)."""

ROWS_MAX = 100
"""Rows in one evening upload; larger shops send several."""


def visit_of(
    country: Country, place: Place, person: Person, at: int, goods: list[Box] | list[Line], *, receipt: str = ""
) -> Visit:
    """A visit with numbers of its own; boxes become lines, lines stay as they are."""
    lines = [item for item in goods if isinstance(item, Line)] or boxes_as_lines(
        item for item in goods if isinstance(item, Box)
    )
    number = country.next("visit")
    return Visit(
        number=f"{place.province}{number:010d}",
        order=f"{day_name(at)}{number:08d}",
        receipt=receipt or receipt_of(country, place, at),
        place=place,
        person=person,
        at=at,
        lines=lines,
    )


def receipt_of(country: Country, place: Place, at: int) -> str:
    """The next receipt number of a till; at many pharmacies it begins at 1 every morning (R5)."""
    today = f"{place.code}:{country.day_of(at)}"
    if place.habits.restarts_receipts:
        return f"{country.next(f'receipt:{today}'):04d}"
    return f"R{day_name(at)}{country.next(f'receipt:{place.code}'):06d}"


def message(
    country: Country,
    place: Place,
    infno: str,
    body: dict[str, Any],
    at: int,
    *,
    arrival: int = 0,
    area: str = "",
    when: str = "",
    claim: str = "",
    plain: bool = True,
    awaited: bool = False,
) -> Upload:
    """Send one NHSA message at a moment; it arrives within two seconds unless an arrival is given."""
    number = country.next("upload")
    msgid = messages.msgid_of(place, at, country.next(f"msgid:{place.code}"))
    return country.send(
        Upload(
            arrival=arrival or at + 300_000 + number * 7919 % 1700 * 1000,
            number=number,
            by=place.code,
            kind="nhsa",
            infno=infno,
            msgid=msgid,
            when=when,
            claim=claim,
            plain=plain,
            awaited=awaited,
        ),
        messages.envelope(place, infno, body, msgid=msgid, at=at, area=area),
    )


def settle(
    country: Country, visit: Visit, at: int, *, scanned: Scanned = "all", when: str = "", plain: bool = True
) -> Upload:
    """Ask the fund to pay: a pharmacy in one message (2102), the others fee lines (2204) and then 2207."""
    place, claim = visit.place, f"{visit.place.code}-{visit.order}"
    coded = [index for index, line in enumerate(visit.lines) if line.codes]
    now = coded if scanned == "all" else coded[::2] if scanned == "some" else []
    traces = messages.trace_rows(visit, now)
    country.expected[claim] = ("pay", visit.amount)
    area = visit.person.area
    fees = messages.fee_rows(visit, visit.at)
    if place.kind == "pharmacy":
        body: dict[str, Any] = {"druginfo": messages.claim_data(visit), "drugdetail": fees, "drug_trac_info": traces}
        return message(country, place, "2102", body, at, area=area, when=when, claim=claim, plain=plain)
    message(country, place, "2204", {"feedetail": fees}, at - MINUTE, area=area, when=when, plain=plain)
    body = {"data": messages.claim_data(visit)}
    if traces:
        body["drug_trac_info"] = traces
    return message(country, place, "2207", body, at, area=area, when=when, claim=claim, plain=plain)


def report(
    country: Country,
    visit: Visit,
    claim: str,
    at: int,
    *,
    when: str = "",
    arrival: int = 0,
    plain: bool = True,
    awaited: bool = False,
) -> Upload:
    """Report the sale at once: 3505 for one line, 3505A for several. Without a claim the person paid."""
    rows = sale_rows(visit, claim)
    single = len(rows) == 1
    return message(
        country,
        visit.place,
        "3505" if single else "3505A",
        {"selinfo": rows[0]} if single else {"selinfoDetail": rows},
        at,
        area=visit.person.area,
        arrival=arrival,
        when=when,
        plain=plain,
        awaited=awaited,
    )


def sale_rows(visit: Visit, claim: str) -> list[dict[str, Any]]:
    """The visit as rows of a sale report, with the institution's habit of batch numbers."""
    batch = "0001" if visit.place.habits.constant_batch else ""
    return messages.sale_rows(visit, claim, batch, self_paid=not claim, quotes_settlement=bool(claim))


def report_in_the_evening(country: Country, visit: Visit, claim: str) -> None:
    """Leave the sale for the batch of the day."""
    rows = country.batches[(visit.place.code, country.day_of(visit.at))]
    rows.extend(msgspec.Raw(messages.encode(row)) for row in sale_rows(visit, claim))


def send_batches(country: Country) -> None:
    """Every shop closes its day: all waiting rows go out, at most ROWS_MAX in a message."""
    for (code, day), rows in sorted(country.batches.items()):
        place = country.places[code]
        closing = country.start + day * DAY + 21 * HOUR + (int(code[-3:]) * 7 % 150) * MINUTE
        for part in range(0, len(rows), ROWS_MAX):
            message(country, place, "3505A", {"selinfoDetail": rows[part : part + ROWS_MAX]}, closing + part * 10_000)
    country.batches.clear()


def cancel(country: Country, visit: Visit, claim: str, at: int) -> Upload:
    """Take a settlement back by its setl_id: 2103 at a pharmacy, else 2208."""
    data = {"setl_id": messages.settlement_of(claim), "mdtrt_id": visit.number, "psn_no": visit.person.number}
    infno = "2103" if visit.place.kind == "pharmacy" else "2208"
    return message(country, visit.place, infno, {"data": data}, at, area=visit.person.area, plain=False)


def reverse(country: Country, visit: Visit, original: Upload, at: int) -> Upload:
    """Reverse a message whose answer was never seen (2601)."""
    data = {"psn_no": visit.person.number, "omsgid": original.msgid, "oinfno": original.infno}
    return message(country, visit.place, "2601", {"data": data}, at, area=visit.person.area, plain=False)


def give_back(country: Country, visit: Visit, claim: str, at: int) -> Upload:
    """The person brings the first line's goods back and the institution says so (3506)."""
    batch = f"T{visit.order}"
    row = messages.return_row(visit, visit.lines[0], claim, batch, at)
    return message(country, visit.place, "3506", {"selinfo": row}, at, plain=False)


def delete_sale(country: Country, visit: Visit, at: int) -> Upload:
    """Delete an uploaded sale by its batch number (3507, inv_data_type 4)."""
    batch = sale_rows(visit, "")[0]["fixmedins_bchno"]
    data = {"fixmedins_bchno": batch, "inv_data_type": "4"}
    return message(country, visit.place, "3507", {"data": data}, at, plain=False)


def sell(country: Country, visit: Visit, *, scanned: Scanned = "all", wait: int = 10 * MINUTE) -> Upload:
    """A sale with a claim and a report of its own, in the institution's ordinary order; gives back the claim."""
    claim = settle(country, visit, visit.at + MINUTE, scanned=scanned, plain=False)
    report(country, visit, claim.claim, visit.at + MINUTE + wait, when=f"paid:{claim.claim}", plain=False)
    return claim


def sell_instead(country: Country, refused: Upload, visit: Visit, other: Box) -> Upload:
    """After a refusal the counter hands out another box; gives back its claim."""
    instead = visit_of(country, visit.place, visit.person, visit.at + 10 * MINUTE, [other])
    claim = settle(country, instead, instead.at + MINUTE, when=f"refused:{refused.claim}", plain=False)
    report(country, instead, claim.claim, instead.at + 5 * MINUTE, when=f"paid:{claim.claim}", plain=False)
    return claim


def inpatient_stay(country: Country, visit: Visit, days: int) -> Upload:
    """Days on a ward: fee lines (2301) and scans (3505A) each day, one settlement (2304) at the end.

    The scans quote the visit only, since there is no settlement yet; 2304 takes its codes from them.
    """
    place, person = visit.place, visit.person
    fees, rows = messages.fee_rows(visit, visit.at), _ward_rows(visit)
    share = -(-len(rows) // days)
    for day in range(days):
        part = slice(day * share, (day + 1) * share)
        if rows[part]:
            at = visit.at + day * DAY
            message(country, place, "2301", {"feedetail": fees[part]}, at, area=person.area, plain=False)
            message(country, place, "3505A", {"selinfoDetail": rows[part]}, at + HOUR, plain=False)
    claim = f"{place.code}-{visit.order}"
    country.expected[claim] = ("pay", visit.amount)
    leaving = visit.at + days * DAY - 2 * HOUR
    data = {"data": messages.claim_data(visit)}
    return message(country, place, "2304", data, leaving, area=person.area, claim=claim, plain=False)


def _ward_rows(visit: Visit) -> list[dict[str, Any]]:
    batch = "0001" if visit.place.habits.constant_batch else ""
    return messages.sale_rows(visit, "", batch, self_paid=False, quotes_settlement=False)


def deed(role: Role, upload: Upload, visit: Visit, code: str) -> Deed:
    """What one message of a story says, for the truth file."""
    references = {"order": visit.order, "visit": visit.number, "receipt": visit.receipt}
    return Deed(
        role=role,
        by=upload.by,
        infno=upload.infno,
        msgid=upload.msgid,
        code=code,
        at=visit.at,
        references=references,
    )


def story(
    country: Country, kind: str, boxes: list[Box], deeds: list[Deed], *, planted: bool = False, note: str = ""
) -> Truth:
    """Write one story into the truth."""
    truth = Truth(
        id=f"{kind}-{country.next(f'story:{kind}'):04d}",
        kind=kind,
        planted=planted,
        codes=[box.code for box in boxes],
        keys=[box.key for box in boxes],
        institutions=sorted({one.by for one in deeds}),
        deeds=deeds,
        note=note,
    )
    country.truth.append(truth)
    return truth
