"""The citizen's pages: three ways in, and the answer with its verdict; only the camera needs JavaScript."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from suyuan.codes.barcode import PictureError, read_codes
from suyuan.codes.recognise import recognise
from suyuan.lookup.advice import ADVICE, EXPIRED, RECALLED
from suyuan.lookup.citizen import CitizenAnswer, ProductFacts, check
from suyuan.lookup.moment import iso_time
from suyuan.lookup.words import Language, Words
from suyuan.portals.access import caller_of
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.site import Site, site_of

CODE_LENGTH_MAX = 4000
"""Characters of a text that are looked at; no symbol holds more."""

SALES_SHOWN = 5
"""The last few records; earlier ones are counted."""

ASKED = frozenset({"one", "several"})
"""Outcomes about which the citizen is asked: did you buy it there, then?"""

ANSWERS = ("mine", "not_mine", "unsure")
_GROUP = 4
"""Digits of a trace code that are shown, and spoken, together."""

_NO_BOX = frozenset({"ean13", "gtin14", "unknown"})
"""What stands beside the trace code in many a picture."""

Translate = Callable[[str], str]


class Verdict(NamedTuple):
    """The one card on top: colour, symbol and words say the same."""

    tone: str
    """Calm, good, warn or bad."""
    symbol: str
    title: str
    """In English; pages translate it."""


_RECALLED_BOX = Verdict("bad", "stop", "Under recall or stop: do not use it")
_EXPIRED_BOX = Verdict("bad", "stop", "Past its expiry date: do not use it")

VERDICTS: dict[tuple[str, str], Verdict] = {
    ("none", ""): Verdict("calm", "clock", "No sale of this box is recorded"),
    ("one", ""): Verdict("calm", "question", "One sale is recorded. Is it yours?"),
    ("one", "mine"): Verdict("good", "check", "One sale, and it is yours: a lawful sale"),
    ("one", "not_mine"): Verdict("warn", "alert", "One sale, and it is not yours: please report it"),
    ("one", "unsure"): Verdict("calm", "question", "One sale is recorded: check the receipt first"),
    ("several", ""): Verdict("warn", "alert", "This box has several sale records"),
    ("lot", ""): Verdict("calm", "box", "This code is shared by a whole lot"),
    ("carton", ""): Verdict("calm", "box", "This is the code of a carton, not of a box"),
    ("retail_barcode", ""): Verdict("calm", "info", "This is the retail barcode, not the trace code"),
    ("virtual", ""): Verdict("calm", "info", "A virtual code, without history"),
    ("unknown", ""): Verdict("calm", "question", "This code is not recognised"),
}
"""By outcome and what the citizen said; the outcome alone stands for answers that change nothing on the card."""


async def first(request: Request) -> Response:
    """The first page, with its three ways in."""
    return _first(request)


async def show(request: Request) -> Response:
    """The answer for the code in the address; without one, the first page."""
    text = request.query_params.get("code", "")[:CODE_LENGTH_MAX]
    return await _answered(request, text) if text.strip() else _first(request)


async def digital_link(request: Request) -> Response:
    """The answer for a GS1 Digital Link address, which is itself the code."""
    return await _answered(request, str(request.url)[:CODE_LENGTH_MAX])


async def read_photo(request: Request) -> Response:
    """Read the code in a photo, for browsers that cannot: leads to its answer; asks where several could be meant."""
    async with request.form(max_files=1, max_fields=1) as form:
        photo = form.get("photo")
        data = await photo.read() if isinstance(photo, UploadFile) else b""
    try:
        seen = await site_of(request).look(read_codes, data) if data else []
    except PictureError:
        return _first(request, "This file cannot be read as a picture: send a JPEG or PNG.", status=422)
    texts = dict.fromkeys(one.text for one in seen)
    boxes = [text for text in texts if recognise(text).system not in _NO_BOX]
    found = boxes or list(texts)
    if not found:
        return _first(request, "No code was found in the photo: hold the camera nearer, with good light.", status=422)
    if len({recognise(text).key for text in found}) > 1:
        return _first(request, choices=[recognise(text).text for text in found])
    return RedirectResponse(f"/check?code={quote(found[0], safe='')}", 303)


def _first(request: Request, notice: str = "", choices: Sequence[str] = (), status: int = 200) -> Response:
    values = {
        "notice": text_of(request, notice) if notice else "",
        "notice_tone": "warn",
        "choices": choices,
        "typed": "",
        "texts": _script_texts(request),
    }
    return page(request, "citizen/first.html", values, status)


async def _answered(request: Request, text: str) -> Response:
    site = site_of(request)
    await site.limits.check_code(caller_of(request), recognise(text, "scan", site.node.catalogue.maker_rules))
    language: Language = "en" if language_of(request) == "en" else "zh"
    answer = await site.query(check, site.node.ledger, site.node.catalogue, text, language)
    site.figures.checked(answer.outcome)
    said = request.query_params.get("answer", "")
    said = said if said in ANSWERS and answer.outcome in ASKED else ""
    verdict = verdict_of(answer, said)

    def translate(message: str) -> str:
        return text_of(request, message)

    values = {
        "answer": answer,
        "said": said,
        "verdict": verdict,
        "title": translate(verdict.title),
        "groups": _grouped(answer.code),
        "warnings": [words.told(language) for words in _warnings(answer)],
        "advice": [words.told(language) for words in _advice(answer, said)],
        "asks": answer.outcome in ASKED,
        "reports": answer.outcome in {"none", "one", "several", "virtual"},
        "urgent": verdict.tone in {"warn", "bad"},
        "sales": [(sale, when(sale.event_time, language)) for sale in answer.sales[-SALES_SHOWN:]],
        "earlier": max(0, len(answer.sales) - SALES_SHOWN),
        "split": any(sale.split for sale in answer.sales),
        "facts": _facts(answer.facts, answer.updated, language, translate),
        "typed": answer.code if answer.outcome == "unknown" and len(answer.code) <= len("8" * 40) else "",
        "asked": when(_now(site), language),
        "texts": _script_texts(request),
    }
    return page(request, "citizen/check.html", values)


def verdict_of(answer: CitizenAnswer, said: str) -> Verdict:
    """The card of an answer: an order in force comes first, then expiry, then the sales."""
    if answer.holds:
        return _RECALLED_BOX
    if answer.facts.expired:
        return _EXPIRED_BOX
    return VERDICTS.get((answer.outcome, said)) or VERDICTS[answer.outcome, ""]


def _warnings(answer: CitizenAnswer) -> list[Words]:
    """What holds whoever bought it, and is said without being asked."""
    return [RECALLED] * bool(answer.holds) + [EXPIRED] * answer.facts.expired


def _advice(answer: CitizenAnswer, said: str) -> list[Words]:
    """What to do about a sale follows once the citizen has said whose it is; a warning leaves no doubt."""
    advice = ADVICE[answer.outcome]
    if answer.outcome in ASKED:
        return [{"mine": advice.mine, "not_mine": advice.not_mine, "unsure": advice.unsure}[said]] if said else []
    if answer.hints and answer.outcome == "unknown":
        return []
    if answer.outcome == "none":
        return [] if _warnings(answer) else [advice.mine, advice.not_mine]
    return [advice.mine]


def _grouped(code: str) -> list[str]:
    """Digits in groups that a person can read aloud; any other code as it is."""
    if code.isascii() and code.isdigit():
        return [code[place : place + _GROUP] for place in range(0, len(code), _GROUP)]
    return [code]


def _facts(facts: ProductFacts, updated: str, language: str, translate: Translate) -> list[tuple[str, str]]:
    """Names and values of what is known about the product."""
    generic = f"{facts.generic} ({facts.english})" if language == "en" and facts.english else facts.generic
    rows: Iterable[tuple[str, str]] = (
        (translate("Generic name"), generic),
        (translate("Trade name"), facts.trade),
        (translate("Specification"), facts.spec),
        (translate("Form"), facts.form),
        (translate("Maker"), facts.company),
        (translate("Approval"), facts.approval),
        (translate("Reimbursement class"), facts.list_class),
        (translate("Indications"), facts.indications),
        (translate("Usage and dosage"), facts.usage),
        (translate("Cautions"), facts.cautions),
        (translate("Storage"), facts.storage),
        (translate("Lot"), facts.lot),
        (translate("Use by"), facts.expiry),
        (translate("Data as of"), when(updated, language)),
    )
    return [row for row in rows if row[1]]


def when(moment: str, language: str) -> str:
    """An ISO time as people read it, to the minute; empty for an empty one."""
    if not moment:
        return ""
    time = datetime.fromisoformat(moment)
    if language == "en":
        return f"{time.day} {time:%b %Y, %H:%M}"
    return f"{time.year}年{time.month}月{time.day}日 {time:%H:%M}"


def _now(site: Site) -> str:
    return iso_time(site.node.ledger.clock())


SCRIPT_TEXTS = {
    "empty": "20 digits, printed beside the words 药品追溯码.",
    "short": "{0} digits; {1} more to come.",
    "long": "{0} digits: {1} too many.",
    "complete": "20 digits: ready to look up.",
    "eight": "A trace code begins with 8: check the first digit.",
    "retail": "13 digits beginning with 69 are the retail barcode: look for the trace code.",
    "letters": "{0}: letters among the digits; perhaps 0 and O, or 1 and l, were confused.",
    "other": "A code with letters or of another kind: look it up as it is.",
    "starting": "Starting the camera …",
    "aim": "Hold the code in the frame, along the line.",
    "found": "Found. Looking it up …",
    "retailSeen": "That is the retail barcode. Looking for the trace code …",
    "denied": "The camera was not allowed. Allow it in the browser, or use a photo, or type the code.",
    "insecure": "The browser gives a camera only to secure addresses (https). Use a photo, or type the code.",
    "nocamera": "No camera was found. Use a photo, or type the code.",
    "failed": "The camera could not be started. Use a photo, or type the code.",
    "reading": "Reading the photo on this device …",
    "nothing": "No code was found. Take it nearer and with more light, or have it read here.",
    "unreadable": "This browser cannot read the photo. Have it read here.",
    "copied": "The address was copied.",
}
"""What scripts say; numbers are filled in at `{0}` and `{1}`."""


def _script_texts(request: Request) -> dict[str, str]:
    return {name: text_of(request, text) for name, text in SCRIPT_TEXTS.items()}
