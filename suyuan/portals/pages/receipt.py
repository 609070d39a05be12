"""The page that checks a receipt: on the reader's own device where it can, here where it cannot."""

import base64
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from suyuan.codes.barcode import PictureError, read_codes
from suyuan.codes.recognise import recognise
from suyuan.intake.receipts import Standing, standing_of
from suyuan.lookup.moment import iso_time
from suyuan.lookup.receipt import Token, TokenWrong, opened
from suyuan.lookup.story import keys_of
from suyuan.portals.pages.citizen import when
from suyuan.portals.pages.shell import language_of, page, text_of
from suyuan.portals.site import Site, site_of
from suyuan.portals.templating import STATIC

TEXT_MAX = 4000
SECOND = 1_000_000

WRONG: dict[str, tuple[str, str]] = {
    "altered": (
        "Altered, or not copied whole",
        "This is not what was signed. Scan the code on the paper again; if it stays so, do not trust this receipt.",
    ),
    "another_node": (
        "Signed by another node",
        "This page knows the key of its own node only. Open the address that is printed in the code.",
    ),
    "unreadable": ("This is no receipt of ours", "Scan the QR code on the receipt, or paste its whole address."),
}
"""By why a token is wrong: title, and what to do. In English; pages translate it."""

STANDINGS: dict[str, tuple[str, str]] = {
    "none": ("good", "Still valid: nothing was given back since"),
    "part": ("warn", "A part of this sale was given back or cancelled"),
    "all": ("bad", "This sale was given back or cancelled: the receipt proves no purchase any more"),
}
AT_ISSUE: dict[str, str] = {
    "none": "nothing had been given back when this was made",
    "part": "a part had been given back when this was made",
    "all": "all of it had been given back when this was made",
}
ON_IT = {
    "box": ("good", "Yes: this box is on the receipt"),
    "reference": ("good", "Yes: this is the number of the receipt"),
    "none": ("bad", "No: this box is not on the receipt"),
    "part": (
        "warn",
        "No: this box is not on this part of the receipt. Scan the other QR codes of the receipt too.",
    ),
}

SCRIPT_TEXTS = {
    "title": "Signed by this platform and unchanged",
    "soldBy": "Sold by",
    "soldAt": "Sold at",
    "boxes": "Boxes",
    "lines": "Lines without a code",
    "madeAt": "Made at",
    "madeBy": "Made by",
    "position": "Journal position",
    "thisCode": "This code",
    "part": "part {0} of {1}",
    "split": "some of it is a part of a pack",
    "back": "Given back or cancelled",
    "asking": "Asking whether it was given back since …",
    "offline": "Not asked: no network. What the receipt binds is proven all the same.",
    "lost": "This platform does not know the receipt: it may have lost its record.",
    "asOf": "as of {0}",
    "empty": "Type the code first.",
    "otherKind": "This kind of code is checked on the platform: use the form below.",
    "unable": "This browser cannot check signatures itself. Use the form below: the platform checks it.",
    "ready": "Ready to work without a network",
}


async def show(request: Request) -> Response:
    """The page. The token stands behind `#` in the address, so that it never comes here."""
    return await _page(request)


async def check(request: Request) -> Response:
    """The same check for browsers that cannot do it: by the text of the QR code or by its photo."""
    async with request.form(max_files=1, max_fields=10) as form:
        sent = {name: value[:TEXT_MAX] for name, value in form.items() if isinstance(value, str)}
        photo = form.get("photo")
        data = await photo.read() if isinstance(photo, UploadFile) else b""
    site, text = site_of(request), sent.get("token", "").strip()
    if data and not text:
        text = await site.look(_in_photo, data)
        if not text:
            return await _page(request, sent, notice="No QR code of a receipt was found in the photo.", status=422)
    try:
        token = opened(text, *site.node.publics)
    except TokenWrong as wrong:
        return await _page(request, sent, wrong=WRONG[wrong.code], status=422)
    standing = await site.query(standing_of, site.node.ledger, token.institution, token.id.hex())
    return await _page(request, {**sent, "token": text}, token=token, standing=standing)


def _in_photo(data: bytes) -> str:
    """The first QR code in a photo that leads to this page; empty where there is none."""
    try:
        seen = read_codes(data)
    except PictureError:
        return ""
    addresses = (one.text[one.text.find("http") :] for one in seen if "http" in one.text)
    return next((address for address in addresses if urlsplit(address).path.endswith("/receipt")), "")


async def _page(
    request: Request,
    sent: dict[str, str] | None = None,
    *,
    token: Token | None = None,
    standing: Standing | None = None,
    wrong: tuple[str, str] | None = None,
    notice: str = "",
    status: int = 200,
) -> Response:
    site = site_of(request)
    code = (sent or {}).get("code", "").strip()

    def told(words: str) -> str:
        return text_of(request, words)

    values: dict[str, Any] = {
        "sent": {"token": "", "code": "", **(sent or {})},
        "notice": told(notice) if notice else "",
        "wrong": tuple(map(told, wrong)) if wrong is not None else None,
        "facts": _facts(request, token) if token is not None else [],
        "standing": (STANDINGS[standing.reversed][0], told(STANDINGS[standing.reversed][1])) if standing else None,
        "lost": token is not None and standing is None,
        "on_it": None,
        "code": code,
        "node": _node(site),
        "texts": {name: told(words) for name, words in SCRIPT_TEXTS.items()}
        | {f"wrong_{name}": [told(title), told(do)] for name, (title, do) in WRONG.items()}
        | {f"standing_{name}": [tone, told(words)] for name, (tone, words) in STANDINGS.items()}
        | {f"back_{name}": told(words) for name, words in AT_ISSUE.items()}
        | {f"on_{name}": [tone, told(words)] for name, (tone, words) in ON_IT.items()},
    }
    if token is not None and code:
        tone, words = ON_IT[_on(site, token, code)]
        values["on_it"] = (tone, told(words))
    response = page(request, "receipt/receipt.html", values, status)
    # Kept for the time without a network by the page's own worker, not by others on the way.
    response.headers["cache-control"] = "no-cache, private"
    return response


def _node(site: Site) -> dict[str, str]:
    """What the page knows of this node: enough to check a signature, not to make one."""
    publics = " ".join(base64.b64encode(public).decode() for public in site.node.publics)
    return {"public": publics, "name": site.settings.name}


def _on(site: Site, token: Token, text: str) -> str:
    """Whether a typed text is a box of the receipt, or its number."""
    keys = keys_of(recognise(text, "scan", site.node.catalogue.maker_rules))
    if any(token.has_box(key) for key in keys):
        return "box"
    if token.has_reference(text):
        return "reference"
    return "part" if token.parts > 1 else "none"


def _facts(request: Request, token: Token) -> list[tuple[str, str]]:
    """What the token binds, in the words that the script uses too."""
    language = language_of(request)

    def told(words: str) -> str:
        return text_of(request, words)

    boxes = str(token.boxes) + (f" ({told('some of it is a part of a pack')})" if token.split else "")
    rows = [
        (told("Sold by"), " ".join(dict.fromkeys((token.name, token.institution))).strip()),
        (told("Sold at"), when(iso_time(token.sold * SECOND), language)),
        (told("Boxes"), boxes),
        (told("Lines without a code"), str(token.lines) if token.lines else ""),
        (
            told("This code"),
            told("part {0} of {1}").format(token.part, token.parts) if token.parts > 1 else "",
        ),
        (told("Given back or cancelled"), told(AT_ISSUE[token.reversed])),
        (told("Made at"), when(iso_time(token.issued * SECOND), language)),
        (told("Made by"), token.node),
        (told("Journal position"), str(int.from_bytes(token.position, "big"))),
    ]
    return [row for row in rows if row[1]]


async def worker(_: Request) -> Response:
    """The script that keeps the page for the time without a network; it may do so for this page alone."""
    headers = {"cache-control": "no-cache", "service-worker-allowed": "/receipt"}
    return FileResponse(STATIC / "receipt_worker.js", media_type="text/javascript", headers=headers)
