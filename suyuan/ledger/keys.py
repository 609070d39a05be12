"""Names under which the ledger files what is not a box: claims, messages, holds, balances, lines."""

import hashlib
import zlib

BALANCE_SHARDS = 16
"""Hot balances (lots, the escape code) are counted in this many histories."""


def digest(*parts: str) -> str:
    """A short stable hash of texts, for facts and contents: 96 bits, hexadecimal."""
    text = "\x1f".join(parts)
    try:
        raw = text.encode()
    except UnicodeEncodeError:  # half of a character, as broken clients send
        raw = text.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(raw, digest_size=12).hexdigest()


def claim_key(institution: str, references: dict[str, str]) -> str:
    """`claim:<institution>:<type>:<reference>`: one history per visit, else per order, receipt or settlement."""
    for kind in ("visit", "order", "receipt", "settlement"):
        if kind in references:
            return f"claim:{institution}:{kind}:{references[kind]}"
    return f"claim:{institution}:none:"


def message_key(institution: str, infno: str, msgid: str) -> str:
    """`message:<institution>:<infno>:<msgid>`: what one message did, for its repeat and its reversal."""
    return f"message:{institution}:{infno}:{msgid}"


def batch_key(institution: str, data_type: str, batch: str) -> str:
    """`batch:<institution>:<inv_data_type>:<fixmedins_bchno>`: the messages that used one batch number (3507)."""
    return f"batch:{institution}:{data_type}:{batch}"


def hold_key(scope: str, key: str) -> str:
    """`hold:<scope>:<key>`: orders on a code, a batch (`<product key>:<lot>`) or a product."""
    return f"hold:{scope}:{key}"


def balance_key(kind: str, owner: str, product: str, spread: str = "") -> str:
    """`balance:<kind>:<owner>:<product>:<shard>`; `spread` (a fact) chooses the shard, none means the first."""
    shard = zlib.crc32(spread.encode()) % BALANCE_SHARDS if spread else 0
    return f"balance:{kind}:{owner}:{product}:{shard}"


def line_key(fact: str) -> str:
    """`line:<fact>`: a line that names no single box (a lot, the escape code, no code)."""
    return f"line:{fact}"


def alert_key(alert: str) -> str:
    """`alert:<id>`."""
    return f"alert:{alert}"


ELSEWHERE = "elsewhere:"
"""Begins the keys under which a province keeps what others said; what follows is their own key."""
RELAY = "relay:"
"""Begins the keys of the relay's own records."""


def elsewhere_key(key: str) -> str:
    """`elsewhere:<key>`: what other provinces and the nation said of a key, apart from what was said here."""
    return f"{ELSEWHERE}{key}"


def is_beside(key: str) -> bool:
    """Whether a key holds no fact of this node's own story: lists and totals pass it over."""
    return key.startswith((ELSEWHERE, RELAY))
