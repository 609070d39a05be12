"""The envelope of an NHSA request: header fields and the business object, whatever wrapping a client uses."""

import re

import msgspec

from suyuan.formats.decoding import to_json
from suyuan.formats.faults import UnreadableError, refusal
from suyuan.formats.times import instant
from suyuan.formats.values import text

_INFNO = re.compile(r"(\d{4}|\d{4}B)(A?)", re.ASCII)


class Envelope(msgspec.Struct, kw_only=True):
    """A request, unwrapped (`spec/nhsa-interface.md` §1.1)."""

    infno: str
    """Four characters, without the A of a batch."""
    batch: bool
    msgid: str
    institution: str
    institution_name: str
    sent: int
    """µs UTC; 0 where inf_time cannot be read."""
    insured_area: str
    software: str
    operator: str
    sign_no: str
    """Of a sign-in (9001); empty or anything else where the client has none."""
    cainfo: str
    header: dict[str, object]
    """Everything beside `input`, keys and values as sent: what `cainfo` signs."""
    input: dict[str, object]
    """The business object; keys as sent."""


def open_envelope(raw: bytes, infno: str = "") -> Envelope:
    """Unwrap a request; `infno` is the one in the URL path, where the body has none (T2).

    Takes a body encoded twice (T17), `input` as a JSON string (T16) and the baseData/bizData wrapper (T19).
    Raises UnreadableError with the reason in words.
    """
    body = _object(to_json(raw))
    outer = _folded(body)
    base = outer.get("basedata")
    if "bizdata" in outer:
        body = _object(outer["bizdata"])
        outer = _folded(body)
    header = outer
    number, batch = _transaction(text(header.get("infno")) or infno, header)
    return Envelope(
        infno=number,
        batch=batch,
        msgid=text(header.get("msgid")),
        institution=text(header.get("fixmedins_code")) or (text(_folded(base).get("accessid")) if base else ""),
        institution_name=text(header.get("fixmedins_name")),
        sent=instant(text(header.get("inf_time"))) or 0,
        insured_area=text(header.get("insuplc_admdvs")) or _stray_area(header),
        software=text(header.get("fixmedins_soft_fcty")),
        operator=text(header.get("opter")),
        sign_no=text(header.get("sign_no")),
        cainfo=text(header.get("cainfo")),
        header={key: value for key, value in body.items() if key.strip().lower() != "input"},
        input=_business_object(header),
    )


def signed_text(envelope: Envelope) -> bytes:
    """What `cainfo` signs: the header without itself and `input`, keys in ASCII order, `k=v` joined with `&`.

    Numbers stand as written in JSON, null as nothing.
    """
    signed = {key: value for key, value in envelope.header.items() if key.strip().lower() != "cainfo"}
    return "&".join(f"{key}={_as_sent(signed[key])}" for key in sorted(signed)).encode("utf-8", "replace")


def _as_sent(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _object(value: object) -> dict[str, object]:
    """A JSON object, decoded once more where a client sent it as a string."""
    if isinstance(value, str):
        value = to_json(value.encode())
    if not isinstance(value, dict):
        raise UnreadableError(refusal("not_object"))
    return value


def _folded(value: object) -> dict[str, object]:
    return {key.strip().lower(): part for key, part in value.items()} if isinstance(value, dict) else {}


def _transaction(written: str, header: dict[str, object]) -> tuple[str, bool]:
    if not written:
        raise UnreadableError(refusal("no_infno"))
    found = _INFNO.fullmatch(written.upper())
    if found is None:
        raise UnreadableError(refusal("infno_not_taken", written))
    number = found[1]
    if number == "9950" and "purcinfo" in _folded(header.get("input")):
        number = "3503"
    return number, bool(found[2])


def _business_object(header: dict[str, object]) -> dict[str, object]:
    value = header.get("input")
    if isinstance(value, str) and value.strip():
        if text(header.get("enc_type")) and value.strip()[:1] not in {"{", "[", '"'}:
            raise UnreadableError(refusal("encrypted", text(header.get("enc_type"))))
        value = to_json(value.encode())
    if not isinstance(value, dict):
        raise UnreadableError(refusal("no_input"))
    return value


def _stray_area(header: dict[str, object]) -> str:
    """The insured area where a client put it into `input` (T20)."""
    inner = _folded(header.get("input"))
    return text(inner.get("insuplcadmdvs")) or text(inner.get("insuplc_admdvs"))
