"""Uploads of our own JSON: movements, sales, returns, cartons, fee lines, orders and prescriptions."""

from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from suyuan.catalogue.catalogue import Catalogue
from suyuan.formats.api.answers import UploadAnswer, upload_answer
from suyuan.formats.api.documents import SHAPES, read
from suyuan.formats.document import Document, Outcome
from suyuan.intake.desk import day_of
from suyuan.portals import codec
from suyuan.portals.access import Caller, caller_of
from suyuan.portals.api.operation import LATER, TAKING, operation
from suyuan.portals.problem import Refused
from suyuan.portals.quarantined import kept_apart
from suyuan.portals.site import site_of

ID_HEADER = "idempotency-key"
ID_MAX = 64
LARGE_BYTES = 64 << 10
"""A body that takes longer to read than others should wait for; it is read beside them."""
COUNTER_LINES_MAX = 200
"""Lines of an upload for which somebody waits; what is larger goes beside the counter, with the files."""
HEADERS = (("Idempotency-Key", "The sender's own id of this upload, where the body has no `id`."),)

Endpoint = Callable[[Request], Awaitable[Response]]


async def take(request: Request, document: Document, lane: str) -> Outcome:
    """Take a document for the caller of a request. Every upload of this interface comes by here.

    Raises:
        Refused: the caller may not speak for the institution that the document names, or nothing of it can be used.
    """
    caller, site = caller_of(request), site_of(request)
    if document.fatal:
        raise Refused("field_unusable", where="body", what=document.fatal)
    may_speak(caller, document.institution, site.node.catalogue, site.node.ledger.clock())
    document.software = caller.software
    _name(request, document)
    outcome = await site.take(document, caller.party, lane)
    if outcome.fatal:
        raise Refused("not_allowed", where="institution", value=document.institution, what=outcome.fatal)
    return outcome


def may_speak(caller: Caller, institution: str, catalogue: Catalogue, now: int) -> None:
    """See that the caller may upload, and for whom.

    Raises:
        Refused: it may not; an account without a party speaks for nobody at all.
    """
    if not caller.party:
        raise Refused("not_allowed", where="institution", what="This account belongs to no institution or firm.")
    if institution and not catalogue.may_speak(institution, caller.party, day_of(now)):
        raise Refused("not_allowed", where="institution", value=institution)


def _name(request: Request, document: Document) -> None:
    """The id that the header gives, where the body gave none; else that of the request itself.

    Without any id, equal bytes would be one message for ever: a claim sent anew after its cancel would be answered with
    its first payment.
    """
    given = request.headers.get(ID_HEADER, "").strip()
    if len(given) > ID_MAX:
        raise Refused("field_unusable", where=ID_HEADER, value=given, what=f"The limit is {ID_MAX} characters.")
    if given and document.msgid and given != document.msgid:
        raise Refused("field_unusable", where=ID_HEADER, value=given, what="It differs from `id` in the body.")
    document.msgid = document.msgid or given or str(request.scope["state"]["request_id"])


def _taking(name: str) -> Endpoint:
    """The endpoint that takes one of `SHAPES`."""

    def reading(raw: bytes) -> Document:
        return codec.decoded(lambda body: read(name, body), raw)

    async def endpoint(request: Request) -> Response:
        raw = await codec.bytes_of(request)
        large = len(raw) > LARGE_BYTES
        with kept_apart(site_of(request).node, f"api/{name}", raw, caller_of(request).party):
            document = await run_in_threadpool(reading, raw) if large else reading(raw)
        lane = "bulk" if len(document.records) > COUNTER_LINES_MAX else "counter"
        outcome = await take(request, document, lane)
        if not large:
            return codec.answer(upload_answer(document, outcome))
        return await run_in_threadpool(lambda: codec.answer(upload_answer(document, outcome)))

    return endpoint


def _upload(name: str, title: str, summary: str, about: str, example: object) -> Endpoint:
    told = operation(
        title,
        "Uploads",
        summary,
        about=about,
        body=SHAPES[name].model,
        answer=UploadAnswer,
        errors=TAKING if name in {"holds", "lifts"} else LATER,  # an order acts from the moment it is acknowledged
        headers=HEADERS,
        example=example,
    )
    return told(_taking(name))


_BOX = "82345671000000000001"
_ABOUT = (
    "Good lines go in and bad lines come back: every line taken up has its result, every line left out its problem. "
    "The same facts sent again get their first answers and change nothing."
)

take_scans = _upload(
    "scans",
    "takeScans",
    "Movements of packages: produced, shipped, received, refused, counted, changed, exited",
    _ABOUT + "\nA carton moves with everything in it.",
    {
        "id": "gate-2-000017",
        "scans": [
            {
                "kind": "received",
                "code": _BOX,
                "time": "2026-03-09T08:30:00+08:00",
                "counterparty": "M00000000001",
                "references": {"delivery": "DN-4711"},
            }
        ],
    },
)
take_sales = _upload(
    "sales",
    "takeSales",
    "Sales at the counter or the ward",
    _ABOUT + "\nA box that was sold before is taken as well: it is the evidence, and its result says what to do.",
    {
        "id": "till-7-000123",
        "sales": [
            {
                "time": "2026-03-09T10:00:00+08:00",
                "references": {"receipt": "R-0001"},
                "fund": "employee",
                "lines": [
                    {"line": "1", "product": "XB05BAF058B002010102345", "price": "13.80", "codes": [_BOX]},
                ],
            }
        ],
    },
)
take_returns = _upload(
    "returns",
    "takeReturns",
    "Boxes that customers gave back",
    _ABOUT + "\nA return that comes before its sale is parked until the sale comes.",
    {
        "returns": [
            {
                "time": "2026-03-09T17:00:00+08:00",
                "references": {"original": "R-0001"},
                "lines": [{"line": "1", "codes": [_BOX]}],
            }
        ]
    },
)
take_packages = _upload(
    "packages",
    "takePackages",
    "Cartons packed and unpacked",
    _ABOUT + "\nThe order of uploads does not matter: a carton may move before its content is known.",
    {
        "packages": [
            {
                "action": "packed",
                "parent": "(00)361234500000000026",
                "children": [_BOX],
                "time": "2026-03-01T08:00:00+08:00",
            }
        ]
    },
)
take_fee_lines = _upload(
    "fee_lines",
    "takeFeeLines",
    "Fee lines ahead of their settlement: which product each one is",
    _ABOUT,
    {
        "fee_lines": [
            {"line": "1", "references": {"order": "O-1", "visit": "V-1"}, "product": "XB05BAF058B002010102345"}
        ]
    },
)
set_holds = _upload(
    "holds",
    "setHolds",
    "Orders to hold a code, a batch or a product: recall, stop, theft",
    "In force from the moment it is acknowledged: the next claim is refused. Who sells cannot order others to stop.",
    {"orders": [{"scope": "batch", "code": _BOX, "lot": "A2026", "reason": "召回"}]},
)
lift_holds = _upload(
    "lifts",
    "liftHolds",
    "Lift orders that the same party set",
    "Only who set an order can lift it.",
    {"orders": [{"scope": "batch", "code": _BOX, "lot": "A2026", "reason": "检验合格"}]},
)
take_prescriptions = _upload(
    "prescriptions",
    "takePrescriptions",
    "Prescriptions as issued, so that what is handed out can be held against them",
    _ABOUT + "\nA sale names the prescription in `references.prescription`, and in `references.prescription_issuer` "
    "who issued it, if another institution did. Who prescribed becomes a pseudonym that nobody here can read.",
    {
        "prescriptions": [
            {
                "number": "RX-1",
                "time": "2026-03-09T09:00:00+08:00",
                "lines": [{"product": "XB05BAF058B002010102345", "quantity": 1}],
            }
        ]
    },
)
