"""The scan screen: scan in, hand out, ship, check before receiving; it opens and works without a network too."""

import hashlib

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from suyuan.portals.access import Caller, caller_of
from suyuan.portals.codec import to_json
from suyuan.portals.pages.shell import page, text_of
from suyuan.portals.templating import STATIC, static_url

FILES = ("suyuan.css", "scan.css", "scan.js", "icon.svg")
"""What the page names with its hash."""
MODULES = ("offline.js", "wedge.js")
"""What `scan.js` imports; modules name each other without a hash."""
SHELL = "/scan/shell"
WORKER = "scan_worker.js"

SCRIPT_TEXTS: dict[str, str] = {
    "online": "Connected",
    "offline": "No network: scans are kept here",
    "signed_out": "Signed in no longer: scans are kept here. Sign in again to send them.",
    "stranger": "Sign in once while connected, then this screen works without a network too.",
    "other": "Scans of another institution wait on this device: {0}. They are sent when it signs in again.",
    "pending": "{0} scans wait to be sent",
    "nothing_pending": "Everything is sent",
    "synced": "Last sent {0}",
    "saved": "Kept; it is checked when connected",
    "duplicate": "Already in this basket",
    "empty": "Nothing to send",
    "queued": "Waiting to be sent",
    "sent": "Sent",
    "failed": "Not taken",
    "undone": "Taken back",
    "undo_sent": "Taking back: {0}",
    "no_undo": "Nothing to take back",
    "refusal_stays": "A refusal stays on record; scan the box in to accept it after all.",
    "removed": "Removed: {0}",
    "remove": "Remove {0}",
    "boxes": "{0} of {1} boxes",
    "accept": "Accept",
    "refuse": "Refuse it",
    "refused": "Refused: {0}",
    "sold_there": "{0}, {1}",
    "hospital": "a hospital",
    "pharmacy": "a pharmacy",
    "report": "Report it with photos",
    "conflicts": "Look at it",
    "sound_on": "Sound is on",
    "sound_off": "Sound is off",
    "full": "The basket is full: send it first.",
    "retail": "This is the retail barcode, not the trace code.",
    "storage": "This browser keeps nothing: scans would be lost. Leave private browsing, or send at once.",
    "clock": "This device's clock is wrong by {0} minutes: set it, for scans carry its time.",
    "codes": "codes",
    "again": "Send again",
    "give_up": "Give it up",
    "result": "{0} taken, {1} with a remark, {2} not taken",
}
"""What the script says, by name; the page gives it in the reader's language."""

REASONS: tuple[str, ...] = (
    "The code was sold before",
    "Under recall or stop",
    "Past its expiry date",
    "Not on the delivery note",
    "The box was opened or damaged",
    "The print or label looks wrong",
    "No papers came with it",
    "Something else",
)
"""Why a box is refused; the words of the person follow."""


def version() -> str:
    """A hash over everything that the screen needs without a network: a change makes browsers fetch it anew."""
    mark = hashlib.sha256()
    for name in (*FILES, *MODULES, WORKER):
        mark.update((STATIC / name).read_bytes())
    return mark.hexdigest()[:16]


async def screen(request: Request) -> Response:
    """The screen of whoever is signed in."""
    response = _screen(request)
    response.headers["cache-control"] = "no-store"
    return response


async def shell(request: Request) -> Response:
    """The same screen without anybody's name, for a browser to keep: it holds nothing of anyone."""
    response = _screen(request, caller=Caller(), here="/scan", here_with_query="/scan", request_id="", form_token="")
    response.headers["cache-control"] = "no-cache"
    return response


def _screen(request: Request, **instead: object) -> HTMLResponse:
    caller = instead.get("caller", caller_of(request))
    assert isinstance(caller, Caller), "either who calls or nobody"
    values = {
        "texts": {name: text_of(request, text) for name, text in SCRIPT_TEXTS.items()},
        "reasons": [text_of(request, reason) for reason in REASONS],
        "sells": caller.role != "firm",
        **instead,
    }
    return page(request, "scan/screen.html", values)


async def worker(_: Request) -> Response:
    """The service worker, with the version and the list of what it keeps; its scope is this screen alone."""
    files = [*map(static_url, FILES), *(f"/static/{name}" for name in MODULES)]
    head = b"const VERSION = " + to_json(version()) + b";\nconst SHELL = " + to_json(SHELL)
    head += b";\nconst FILES = " + to_json(files) + b";\n"
    return Response(
        head + (STATIC / WORKER).read_bytes(),
        media_type="text/javascript",
        headers={"cache-control": "no-cache", "service-worker-allowed": "/scan"},
    )
