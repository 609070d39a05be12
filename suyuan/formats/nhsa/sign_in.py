"""Sign-in (9001) and sign-out (9002) of an operator's workplace: what is asked, and the answer."""

from typing import Any

from suyuan.formats.nhsa.envelope import Envelope
from suyuan.formats.nhsa.fields import fold
from suyuan.formats.values import text
from suyuan.lookup.moment import iso_time

SIGN_IN, SIGN_OUT = "9001", "9002"


def asked_operator(envelope: Envelope) -> str:
    """Who signs in or out: `opter_no` of the request's node, else the header's operator."""
    return text(_node(envelope).get("opter_no")) or envelope.operator


def asked_sign_no(envelope: Envelope) -> str:
    """The sign-in that is to end: from the request's node, else from the header."""
    return text(_node(envelope).get("sign_no")) or envelope.sign_no


def signed_in(sign_no: str, now: int) -> dict[str, Any]:
    """Output of 9001; `now` in µs UTC."""
    return {"signinoutb": {"sign_time": _clock(now), "sign_no": sign_no}}


def signed_out(now: int) -> dict[str, Any]:
    """Output of 9002; `now` in µs UTC."""
    return {"signoutoutb": {"sign_time": _clock(now)}}


def _clock(now: int) -> str:
    return iso_time(now)[:19].replace("T", " ")


def _node(envelope: Envelope) -> dict[str, object]:
    """The node `signIn` or `signOut`, under any spelling; the fields themselves where a client left it out."""
    sent = fold(envelope.input)
    for name in ("signin", "signout", "data"):
        node = sent.get(name)
        if isinstance(node, list) and node:
            node = node[0]
        if isinstance(node, dict):
            return fold(node)
    return sent
