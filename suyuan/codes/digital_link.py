"""GS1 Digital Link addresses and EPC URNs: the same packages, named for the web (`spec/codes.md` §1.3, R7)."""

import re
from urllib.parse import unquote

from suyuan.codes import gs1
from suyuan.codes.check_digit import check_digit
from suyuan.codes.code import Carrier
from suyuan.codes.reading import Reading, Scanned

_ADDRESS = re.compile(r"https?://[^/?#]+(/[^?#]*)(?:\?([^#]*))?(?:#.*)?", re.IGNORECASE)
_PACKAGE = re.compile(r"/(01/[0-9]{14}|00/[0-9]{18})(?![^/])(.*)")
_OTHER_KEY = re.compile(
    r"/(?:01/[0-9]{14}|00/[0-9]{18}|(?:253|414|41[0-7])/[0-9]{13}|255/[0-9]{13}|402/[0-9]{17}|40[13]/."
    r"|8003/[0-9]{14}|80(?:04|10|13)/.|80(?:06|17|18)/[0-9]{18})"
)
_URN = re.compile(
    r"urn:epc:(id:sgtin|id:sscc|class:lgtin|idpat:sgtin):([0-9]{6,12})\.([0-9]+)(?:\.(.+))?", re.IGNORECASE
)


def names_gs1_key(address: str) -> bool:
    """True for an address whose path names something by GS1 key: a package, or a place, asset, document."""
    found = _ADDRESS.fullmatch(address)
    return bool(found and _OTHER_KEY.search(found[1]))


def read(scanned: Scanned) -> Reading:
    """R7: `https://<any host>/01/<gtin>/10/<lot>/21/<serial>?17=YYMMDD`, or `/00/<sscc>`."""
    address = _ADDRESS.fullmatch(scanned.text)
    package = _PACKAGE.search(address[1]) if address else None
    if address is None or package is None:
        return ""
    steps = [step for step in f"{package[1]}{package[2]}".split("/") if step]
    if len(steps) % 2:
        return f"Digital Link: the path ends in {steps[-1]!r} without a value"
    pairs = [(ai, unquote(value)) for ai, value in zip(steps[::2], steps[1::2], strict=True)]
    for part in re.split("[&;]", address[2] or ""):
        ai, _, value = part.partition("=")
        if gs1.is_identifier(ai):
            pairs.append((ai, unquote(value)))
    return _of(pairs, "Digital Link")


def read_urn(scanned: Scanned) -> Reading:
    """EPC URNs of trade items, logistic units and lots, as EPCIS documents write them; other URNs stay unknown."""
    urn = _URN.fullmatch(scanned.text)
    if urn is None:
        return ""
    kind, company, reference, rest = urn[1].lower(), urn[2], urn[3], unquote(urn[4] or "")
    body = reference[0] + company + reference[1:]
    number = body + check_digit(body)
    match kind, len(number), bool(rest):
        case "id:sscc", 18, False:
            return _of([("00", number)], "plain")
        case "id:sgtin", 14, True:
            return _of([("01", number), ("21", rest)], "plain")
        case "class:lgtin", 14, True:
            return _of([("01", number), ("10", rest)], "plain")
        case "idpat:sgtin", 14, True if rest == "*":
            return _of([("01", number)], "plain")
    return f"EPC: {scanned.text[:60]!r} does not have the digits and parts that {kind} needs"


def _of(pairs: list[tuple[str, str]], carrier: Carrier) -> Reading:
    elements = gs1.parse_pairs(pairs)
    return elements if isinstance(elements, str) else gs1.of(elements, carrier)
