"""Claims: asking for advice, settling, taking back."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from suyuan.formats.api import models
from suyuan.formats.api.answers import ClaimAnswer, LineAnswer, claim_answer, line_answer, problem_answers
from suyuan.formats.api.documents import read_cancel, read_claim, read_reversal
from suyuan.formats.document import Document
from suyuan.formats.faults import MALFORMED
from suyuan.ledger.scan import Result
from suyuan.portals import codec
from suyuan.portals.api.operation import operation
from suyuan.portals.api.uploads import HEADERS, take
from suyuan.portals.problem import Fault, Refused
from suyuan.settlement.claim import ClaimVerdict

_BOX = "82345671000000000001"
EXAMPLE: dict[str, Any] = {
    "id": "till-7-000124",
    "setting": "pharmacy",
    "references": {"order": "O-1"},
    "fund": "employee",
    "amount": "13.80",
    "lines": [
        {
            "line": "1",
            "product": "XB05BAF058B002010102345",
            "quantity": "1",
            "amount": "13.80",
            "codes": [{"code": _BOX}],
        }
    ],
}


@operation(
    "adviseClaim",
    "Claims",
    "What a claim would be answered; changes nothing",
    about="The same body as for settling. Nothing is stored, nothing is drawn down.",
    body=models.ClaimUpload,
    answer=ClaimAnswer,
    example=EXAMPLE,
)
async def advise_claim(request: Request) -> Response:
    """Pre-settlement."""
    return await _claim(request, advice=True)


@operation(
    "settleClaim",
    "Claims",
    "Ask the fund to pay: each code is paid, held or refused, at once",
    about="One pass or fail: with a refused line nothing is drawn down, and every code says why. A claim is known by "
    "its order, visit or receipt: sent again it finds itself and gets its first answer. A refusal has HTTP status 200: "
    "read `verdict`.",
    body=models.ClaimUpload,
    answer=ClaimAnswer,
    headers=HEADERS,
    example=EXAMPLE,
)
async def settle_claim(request: Request) -> Response:
    """Settlement."""
    return await _claim(request, advice=False)


async def _claim(request: Request, *, advice: bool) -> Response:
    raw = await codec.bytes_of(request)
    document = _whole(codec.decoded(lambda body: read_claim(body, advice=advice), raw))
    outcome = await take(request, document, "counter")
    (verdict,) = outcome.results
    assert isinstance(verdict, ClaimVerdict), "a claim has a verdict"
    return codec.answer(claim_answer(verdict, outcome))


def _whole(document: Document) -> Document:
    """A claim or its undoing with any fault passes nowhere, and leaves nothing behind."""
    if any(problem.code == MALFORMED for problem in document.problems):
        faults = tuple(
            Fault(problem.where, problem.value, problem.what, problem.do)
            for problem in problem_answers(document.problems)
        )
        raise Refused("field_unusable", where=faults[0].where, faults=faults)
    return document


@operation(
    "cancelClaim",
    "Claims",
    "Take a settlement back; exactly its codes are free again",
    about="By the same institution, within 10 days for a pharmacy and 60 for a hospital. Repeated, it succeeds.",
    body=models.Cancel,
    body_needed=False,
    answer=LineAnswer,
    headers=HEADERS,
    example={},
)
async def cancel_claim(request: Request) -> Response:
    """Cancel."""
    settlement = str(request.path_params["settlement"])
    raw = await codec.bytes_of(request) if "content-type" in request.headers else b""
    return await _undo(request, raw, lambda body: read_cancel(body, settlement))


@operation(
    "reverseClaim",
    "Claims",
    "Take back whatever an upload with a known id settled, even before it comes",
    about="For a sender that got no answer: a reversal that arrives first keeps the claim from settling. Repeated, it "
    "succeeds.",
    body=models.Reversal,
    answer=LineAnswer,
    headers=HEADERS,
    example={"original_id": "till-7-000124"},
)
async def reverse_claim(request: Request) -> Response:
    """Reversal."""
    return await _undo(request, await codec.bytes_of(request), read_reversal)


async def _undo(request: Request, raw: bytes, read: Callable[[bytes], Document]) -> Response:
    document = _whole(codec.decoded(read, raw))
    outcome = await take(request, document, "counter")
    (result,) = outcome.results
    assert isinstance(result, Result), "an undo has a result"
    return codec.answer(line_answer(result))
