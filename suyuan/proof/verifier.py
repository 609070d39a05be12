"""Checks a proof with nothing but the file and a public key: one file to keep, standard library and `cryptography`.

`python verifier.py FILE [--key KEY]` tells what the file proves, or what in it was altered. The format is described in
`docs/proof.md`. Trees are those of RFC 9162, checkpoints are signed notes as C2SP describes them (c2sp.org/signed-note,
c2sp.org/tlog-checkpoint), which can be printed in a newspaper.
"""

import base64
import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

ED25519, SM2 = b"\x01", b"\xffsuyuan/sm2"
"""How the kind of a key is written before it (signed-note, Signature types)."""
PUBLIC, SIGNATURE = 32, 64
KINDS = {ED25519: PUBLIC, SM2[:1]: 2 * PUBLIC}
"""Bytes of a public key, by the first byte of its kind."""
DASH = "\u2014 "
FORMAT = 1
FILE_MAX = 64_000_000
SIGNATURES_MAX, KEYS_MAX = 4, 1_000
"""Signatures of one note and keys of one file: more would only keep a reader busy."""
_KEY = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")
_HASH = re.compile(r"[0-9a-f]{64}")
_CHINA = timezone(timedelta(hours=8))


class ProofWrong(Exception):  # noqa: N818  the reader's word for it
    """What was given does not prove what it should; `part` is where, the words say what."""

    def __init__(self, part: str, words: str) -> None:
        super().__init__(f"{part}: {words}")
        self.part = part


# Trees (RFC 9162)


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf (2.1.1)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two hashes below (2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf stands at `index` in the tree of `size` leaves with this root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, found = index, size - 1, leaf
    for sibling in path:
        if not last:
            return False
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        place, last = place >> 1, last >> 1
    return not last and found == root


def verify_consistency(old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the tree of `old` leaves is the beginning of that of `new` leaves (2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not path and old_root == new_root
    steps = list(path)
    if not old & old - 1:
        steps.insert(0, old_root)
    if not steps:
        return False
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    first = second = steps[0]
    for step in steps[1:]:
        if not last:
            return False
        if place & 1 or place == last:
            first, second = node_hash(step, first), node_hash(step, second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            second = node_hash(second, step)
        place, last = place >> 1, last >> 1
    return not last and first == old_root and second == new_root


# Keys


class Key(NamedTuple):
    """A public key: its kind and its bytes."""

    kind: bytes
    public: bytes

    def ident(self, name: str) -> bytes:
        """Four bytes by which a signature line says which key it is of (signed-note)."""
        return hashlib.sha256(name.encode() + b"\n" + self.kind + self.public).digest()[:4]

    def text(self, name: str) -> str:
        """The key as one line of text: `<name>+<id>+<base64>` (signed-note, Verifier keys)."""
        return f"{name}+{self.ident(name).hex()}+{base64.b64encode(self.kind + self.public).decode()}"

    def signed(self, message: bytes, signature: bytes) -> bool:
        """Whether the owner of the key has signed exactly this message."""
        check = signed_ed25519 if self.kind == ED25519 else signed_sm2
        return check(self.public, message, signature)


def read_key(text: str) -> Key:
    """A key written as `<name>+<id>+<base64>`; of Ed25519 also as 64 hexadecimal digits or Base64 of its 32 bytes.

    Raises:
        ProofWrong: it is none.
    """
    written = text.strip()
    with suppress(ValueError):
        if len(written) == 2 * PUBLIC:
            return Key(ED25519, bytes.fromhex(written))
        if not (found := _KEY.fullmatch(written)):
            if len(raw := _base64(written)) == PUBLIC:
                return Key(ED25519, raw)
        elif (raw := _base64(found[3]))[:1] in KINDS:
            key = Key(raw[:1], raw[1:]) if raw[:1] == ED25519 else Key(SM2, raw.removeprefix(SM2))
            if len(key.public) == KINDS[raw[:1]] and key.ident(found[1]).hex() == found[2]:
                return key
    raise ProofWrong("key", f"{written[:80]!r} is no public key: write <name>+<id>+<base64>, or 64 hexadecimal digits")


def signed_ed25519(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is that of this Ed25519 key (RFC 8032)."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415  most of the time this file takes to start
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed_sm2(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature, r before s, is that of this SM2 key over SM3, with the default id (GB/T 32918.2)."""
    x, y = (int.from_bytes(part, "big") for part in (public[:32], public[32:]))
    r, s = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:]))
    if (
        len(signature) != SIGNATURE
        or not (0 < r < _N and 0 < s < _N and (r + s) % _N)
        or (y * y - x * x * x - _A * x - _B) % _P
    ):
        return False
    numbers = (_A, _B, *_G, x, y)
    owner = _sm3(b"\x00\x80" + _SIGNER + b"".join(number.to_bytes(32, "big") for number in numbers))
    point = _sum(_times(s, _G), _times((r + s) % _N, (x, y)))
    return point is not None and (int.from_bytes(_sm3(owner + message), "big") + point[0]) % _N == r


_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
_A = _P - 3
_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
_G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
"""The curve of GB/T 32918.5."""
_SIGNER = b"1234567812345678"
_Point = tuple[int, int] | None


def _sm3(data: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes  # noqa: PLC0415  as above

    digest = hashes.Hash(hashes.SM3())
    digest.update(data)
    return digest.finalize()


def _times(number: int, point: _Point) -> _Point:
    found: _Point = None
    while number:
        if number & 1:
            found = _sum(found, point)
        point, number = _sum(point, point), number >> 1
    return found


def _sum(one: _Point, other: _Point) -> _Point:
    if one is None or other is None:
        return other if one is None else one
    if one[0] == other[0]:
        if (one[1] + other[1]) % _P == 0:
            return None
        slope = (3 * one[0] * one[0] + _A) * pow(2 * one[1], -1, _P)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, _P)
    x = (slope * slope - one[0] - other[0]) % _P
    return x, (slope * (one[0] - x) - one[1]) % _P


class KeyLink(NamedTuple):
    """One public key of a node, signed by the one before it."""

    public: bytes
    since: int
    """µs UTC."""
    signature: bytes


def keys_from(links: Sequence[KeyLink], public: bytes) -> list[bytes]:
    """The keys that one who trusts `public` may trust: it, and those after it, each signed by the one before.

    Raises:
        ProofWrong: a link is not signed by the key before it.
    """
    trusted = [public]
    for number, (before, link) in enumerate(pairwise(links), start=1):
        message = b"suyuan key\0" + link.public + link.since.to_bytes(8, "big")
        if not signed_ed25519(before.public, message, link.signature):
            raise ProofWrong(f"keys[{number}]", "this key, its date or its signature by the key before was altered")
        if before.public in trusted:
            trusted.append(link.public)
    return trusted


# Signed notes


class Note(NamedTuple):
    """A text with signatures below it (signed-note)."""

    text: str
    """What the signatures cover; its first line is the name of the node."""
    signatures: tuple[tuple[str, bytes], ...]
    """Names, and key ids with the signatures behind them."""

    @property
    def origin(self) -> str:
        """The name of the node."""
        return self.text.partition("\n")[0]

    def is_by(self, key: Key) -> bool:
        """Whether this key has signed it."""
        return any(self.is_signed(number, key) for number in range(len(self.signatures)))

    def is_signed(self, number: int, key: Key) -> bool:
        """Whether the signature with this number is that of the key."""
        name, raw = self.signatures[number]
        return name == self.origin and raw[:4] == key.ident(name) and key.signed(self.text.encode(), raw[4:])


def read_note(note: str, part: str) -> Note:
    """A note from its printed form; signatures are not checked yet.

    Raises:
        ProofWrong: it is not written as a note is.
    """
    text, blank, below = note.rpartition("\n\n")
    if not blank or not note.endswith("\n"):
        raise ProofWrong(part, "it has a text, a blank line, and signatures; this one has not")
    signatures = []
    for line in below.removesuffix("\n").split("\n"):
        name, space, encoded = line.removeprefix(DASH).partition(" ")
        with suppress(ValueError):
            raw = _base64(encoded)
            if line.startswith(DASH) and space:
                signatures.append((name, raw))
                continue
        raise ProofWrong(part, f"its signature line {line[:60]!r} was altered")
    if len(signatures) > SIGNATURES_MAX:
        raise ProofWrong(part, f"it has {len(signatures)} signatures; a node makes {SIGNATURES_MAX} at most")
    return Note(text + "\n", tuple(signatures))


# Checkpoints and promises


class Checkpoint(NamedTuple):
    """What a node signed: so many segments with this root, by this time."""

    origin: str
    """Name of the node."""
    segments: int
    root: bytes
    """Of the top tree, whose leaves are the segments."""
    events: int
    head: bytes
    """Hash of the last segment."""
    time: str
    """ISO, UTC."""
    note: Note
    """As it was signed."""


def checkpoint_text(origin: str, segments: int, root: bytes, events: int, head: bytes, time: str) -> str:  # noqa: PLR0917  the lines in their order
    """The text that is signed: origin, size and root as c2sp.org/tlog-checkpoint has them, then three lines of ours."""
    encoded = base64.b64encode(root).decode()
    return f"{origin}\n{segments}\n{encoded}\nevents {events}\nchain {head.hex()}\ntime {time}\n"


def signature_line(name: str, key: Key, signature: bytes) -> str:
    """One line below the text."""
    return f"{DASH}{name} {base64.b64encode(key.ident(name) + signature).decode()}\n"


def read_checkpoint(note: str, part: str = "checkpoint") -> Checkpoint:
    """A checkpoint from its printed form; signatures are not checked yet.

    Raises:
        ProofWrong: it is not written as a checkpoint is.
    """
    signed = read_note(note, part)
    lines = signed.text.split("\n")[:-1]
    if len(lines) != 6:  # noqa: PLR2004  origin, size, root, events, chain, time
        raise ProofWrong(part, "it has six lines, a blank line, and the signatures; this one has not")
    origin, segments, root, events, chain, time = lines
    try:
        found = Checkpoint(
            origin,
            int(segments),
            _base64(root),
            int(events.removeprefix("events ")),
            bytes.fromhex(chain.removeprefix("chain ")),
            time.removeprefix("time "),
            signed,
        )
    except ValueError as error:
        raise ProofWrong(part, f"a line of it was altered: {error}") from error
    told = checkpoint_text(found.origin, found.segments, found.root, found.events, found.head, found.time)
    if told != signed.text:
        raise ProofWrong(part, "a line of it was altered, or its signature is missing")
    return found


class Promise(NamedTuple):
    """What a node signed of a record that is not sealed yet."""

    what: str
    key: str
    event_time: int
    arrived: int
    actor: str
    """Empty where the place is not told."""
    region: str
    by: str
    """ISO, UTC: until when it will be sealed."""
    note: Note


def promise_text(origin: str, told: Sequence[str | int], by: str) -> str:
    """The text that is signed; `told` is what, key, event time, arrival, actor and region."""
    line = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    return f"{origin}\npromise\n{line}\nby {by}\n"


def read_promise(note: str, part: str) -> Promise:
    """A promise from its printed form; signatures are not checked yet.

    Raises:
        ProofWrong: it is not written as a promise is.
    """
    signed = read_note(note, part)
    try:
        origin, word, line, by = signed.text.split("\n")[:-1]
        told = json.loads(line)
        what, key, event_time, arrived, actor, region = told
        promise = Promise(what, key, event_time, arrived, actor, region, by.removeprefix("by "), signed)
    except (ValueError, TypeError) as error:
        raise ProofWrong(part, f"a line of it was altered: {error}") from error
    _check_kinds(promise[:6], part)
    if word != "promise" or promise_text(origin, told, promise.by) != signed.text:
        raise ProofWrong(part, "a line of it was altered")
    return promise


# Proof files


class Proven(NamedTuple):
    """One record that a file proves."""

    what: str
    key: str
    event_time: int
    arrived: int
    actor: str
    """Empty where the place is not told."""
    region: str
    segment: int
    number: int
    """In the whole feed, from 0."""
    whole: bytes
    """The event as stored, where the file opens it."""


class Verdict(NamedTuple):
    """What a file proves."""

    records: tuple[Proven, ...]
    promises: tuple[Promise, ...]
    """Of records that were not sealed when the file was made."""
    checkpoint: Checkpoint | None
    """None where there are promises alone."""
    old: Checkpoint | None
    """The earlier checkpoint that this one goes on from, in a file that shows this."""
    key: Key
    """Which signed."""
    trusted: bool
    """True where that key is, or follows from, the one that the reader gave."""


def verify_file(data: bytes, key: Key | None = None) -> Verdict:
    """What a proof file proves; `key` is the public key that its reader trusts, by other ways than this file.

    Raises:
        ProofWrong: it proves nothing; the part and the words say what was altered.
    """
    told, again = _read(data)
    keys = _Keys(told, key)
    promises = _promises(told, keys)
    records: tuple[Proven, ...] = ()
    checkpoint = old = None
    if "checkpoint" in told or not promises:
        checkpoint = read_checkpoint(_lines(told, "checkpoint"))
        keys.check(checkpoint.note, "checkpoint")
    if checkpoint is not None and "old_checkpoint" in told:
        old = read_checkpoint(_lines(told, "old_checkpoint"), "old_checkpoint")
        keys.check(old.note, "old_checkpoint")
        check_growth(old, checkpoint, _hashes(told, "path", ""))
    elif checkpoint is not None:
        given = told.get("records")
        if not isinstance(given, list) or not given:
            raise ProofWrong("records", "there are none")
        records = tuple(_record(each, f"records[{number}]", checkpoint) for number, each in enumerate(given))
        _once([each.number for each in records], "records")
    if again != data:
        raise ProofWrong("file", f"it is not written as it was made, from byte {_first_difference(again, data)} on")
    signer = keys.signer(checkpoint.note if checkpoint is not None else promises[0].note)
    return Verdict(records, promises, checkpoint, old, signer, key is not None)


def written(told: Mapping[str, Any]) -> bytes:
    """The bytes of a proof file; there is one way to write it, so that no byte can change unseen."""
    return (json.dumps(told, ensure_ascii=False, indent=1) + "\n").encode()


def check_growth(old: Checkpoint, new: Checkpoint, path: Sequence[bytes]) -> None:
    """That the record behind the newer checkpoint begins with that behind the older one.

    Raises:
        ProofWrong: it does not, or nothing shows it.
    """
    if old.origin != new.origin:
        raise ProofWrong("old_checkpoint", f"it is of another node: {old.origin}, not {new.origin}")
    if not verify_consistency(old.segments, new.segments, old.root, new.root, path):
        raise ProofWrong(
            "path", "the record behind the newer checkpoint does not go on from the older one, or the path was altered"
        )
    if old.events > new.events or old.time > new.time:
        raise ProofWrong("checkpoint", "it is smaller or earlier than the one that it should go on from")


def _read(data: bytes) -> tuple[dict[str, Any], bytes]:
    """What a file holds, and how that is written."""
    if len(data) > FILE_MAX:
        raise ProofWrong("file", f"it is larger than {FILE_MAX:,} bytes: no proof")
    try:
        told = json.loads(data)
        again = written(told)
    except (ValueError, RecursionError) as error:
        raise ProofWrong("file", f"it cannot be read as JSON: {error}") from error
    if not isinstance(told, dict) or told.get("suyuan proof") != FORMAT:
        raise ProofWrong("file", f'it is no proof: it does not begin with "suyuan proof": {FORMAT}')
    # What would not be looked at has no place in a file: nobody is to take it for proven.
    shows = ["old_checkpoint", "path"] if "old_checkpoint" in told else ["records", "promises"]
    if "checkpoint" not in told and "promises" in told:
        shows = ["promises"]
    _only(told, ("suyuan proof", *shows, "checkpoint", "keys", "sm2_key"), "file")
    return told, again


def _record(given: Any, part: str, checkpoint: Checkpoint) -> Proven:  # noqa: ANN401  whatever the file holds
    """One record, followed from its leaf to the checkpoint."""
    _only(given, ("leaf", "place", "whole", "index", "path", "segment", "segment_path"), part)
    leaf, segment = _text(given, "leaf", part), _text(given, "segment", part)
    number, first, events, root = _segment(segment, f"{part}.segment")
    top = _hashes(given, "segment_path", part)
    if not verify_inclusion(leaf_hash(segment.encode()), number, checkpoint.segments, top, checkpoint.root):
        raise ProofWrong(
            f"{part}.segment", "the segment or its path was altered: it does not lead to the root of the checkpoint"
        )
    index = given.get("index")
    if type(index) is not int:
        raise ProofWrong(f"{part}.index", "it is no number")
    if not verify_inclusion(leaf_hash(leaf.encode()), index, events, _hashes(given, "path", part), root):
        raise ProofWrong(
            f"{part}.leaf", "the record, its place or its path was altered: it does not lead to the root of its segment"
        )
    return _told(given, leaf, part, (number, first + index))


def _told(given: Mapping[str, Any], leaf: str, part: str, place: tuple[int, int]) -> Proven:
    """What a leaf that was found in its tree says, with what the file opens of it."""
    try:
        name, what, key, event_time, arrived, actor, region, commitment, *kept = json.loads(leaf)
        if opened := _opened(given, "place", kept[0] if kept else "", part):
            actor, region = json.loads(opened)
    except (ValueError, TypeError) as error:
        raise ProofWrong(f"{part}.leaf", f"it is not written as a record is: {error}") from error
    if name != "suyuan leaf 1":
        raise ProofWrong(f"{part}.leaf", "it is of a version that this program does not know")
    _check_kinds((what, key, event_time, arrived, actor, region), f"{part}.leaf")
    whole = _opened(given, "whole", commitment, part)
    return Proven(what, key, event_time, arrived, actor, region, *place, whole)


def _opened(given: Mapping[str, Any], name: str, commitment: str, part: str) -> bytes:
    """What stands behind a commitment, where the file tells it; else empty."""
    if name not in given:
        return b""
    _only(given[name], ("salt", "bytes"), f"{part}.{name}")
    try:
        salt, raw = _base64(given[name]["salt"]), _base64(given[name]["bytes"])
    except (KeyError, TypeError, ValueError) as error:
        raise ProofWrong(f"{part}.{name}", f"it cannot be read: {error}") from error
    if hashlib.sha256(salt + raw).hexdigest() != commitment:
        raise ProofWrong(f"{part}.{name}", "it was altered: it is not what the record commits to")
    return raw


def _segment(text: str, part: str) -> tuple[int, int, int, bytes]:
    """Number, first event, events and root of a segment's line."""
    with suppress(ValueError, TypeError):
        name, number, first, events, root, _before = json.loads(text)
        if name == "suyuan segment 1":
            return int(number), int(first), int(events), bytes.fromhex(root)
    raise ProofWrong(part, "it is no line of the chain of segments")


class _Keys:
    """The keys of a file: those that may have signed, and those of them that the reader trusts."""

    def __init__(self, told: Mapping[str, Any], given: Key | None) -> None:
        links = _links(told)
        sm2 = _sm2_key(told)
        self._named = [Key(ED25519, link.public) for link in reversed(links)] + ([sm2] if sm2 else [])
        self._trusted = self._named
        if given is not None:
            follow = keys_from(links, given.public) if given.kind == ED25519 else []
            self._trusted = [Key(ED25519, public) for public in follow] or [given]

    def check(self, note: Note, part: str) -> None:
        """Every signature must be that of a key of the file, for here nobody else signs; one of a trusted key.

        Raises:
            ProofWrong: one is not.
        """
        trusted = any(map(note.is_by, self._trusted))
        for number in range(len(note.signatures) if trusted else 1):
            if not any(note.is_signed(number, key) for key in self._named):
                raise ProofWrong(part, f"its text or its signature {number + 1} was altered, or another key signed it")
        if not trusted:
            raise ProofWrong(part, "it is signed, but by a key that does not follow from the one you gave")

    def signer(self, note: Note) -> Key:
        """Of the trusted keys the one that signed."""
        return next(filter(note.is_by, self._trusted))


def _promises(told: Mapping[str, Any], keys: _Keys) -> tuple[Promise, ...]:
    if "promises" not in told:
        return ()
    given = told["promises"]
    if not isinstance(given, list) or not given:
        raise ProofWrong("promises", "there are none")
    promises = []
    for number, each in enumerate(given):
        part = f"promises[{number}]"
        if not isinstance(each, list) or not all(isinstance(line, str) for line in each):
            raise ProofWrong(part, "it is no list of lines")
        promises.append(read_promise("\n".join(each) + "\n", part))
    _once([promise[:6] for promise in promises], "promises")
    for number, promise in enumerate(promises):
        keys.check(promise.note, f"promises[{number}]")
    return tuple(promises)


def _links(told: Mapping[str, Any]) -> list[KeyLink]:
    given = told.get("keys")
    if not isinstance(given, list) or not given:
        raise ProofWrong("keys", "there are none")
    if len(given) > KEYS_MAX:
        raise ProofWrong("keys", f"there are {len(given)}; at most {KEYS_MAX} are followed")
    links = []
    for number, each in enumerate(given):
        part = f"keys[{number}]"
        _only(each, ("public", "since", "signature"), part)
        try:
            link = KeyLink(_base64(each["public"]), each["since"], _base64(each["signature"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ProofWrong(part, f"it cannot be read: {error}") from error
        if (
            type(link.since) is not int
            or not 0 <= link.since < 1 << 64
            or (not number and (link.signature or link.since))
        ):
            raise ProofWrong(part, "its date or signature was altered: the first key has neither")
        links.append(link)
    keys_from(links, links[0].public)
    return links


def _sm2_key(told: Mapping[str, Any]) -> Key | None:
    """The SM2 key of a file that has one."""
    if "sm2_key" not in told:
        return None
    text = _text(told, "sm2_key", "")
    try:
        key = read_key(text)
    except ProofWrong as error:
        raise ProofWrong("sm2_key", "it was altered: it is no public key") from error
    if key.kind != SM2 or key.text(text.partition("+")[0]) != text:
        raise ProofWrong("sm2_key", "it was altered: it is no SM2 key")
    return key


def _check_kinds(told: Sequence[Any], part: str) -> None:
    """What, key, event time, arrival, actor and region are texts and numbers, as they are shown to people."""
    if tuple(map(type, told)) != (str, str, int, int, str, str):
        raise ProofWrong(part, "it is not written as a record is")


def _once(marks: Sequence[Any], part: str) -> None:
    """The same one twice would look like two."""
    seen: dict[Any, int] = {}
    for number, mark in enumerate(marks):
        if (before := seen.setdefault(mark, number)) != number:
            raise ProofWrong(f"{part}[{number}]", f"it is {part}[{before}] once more")


def _only(given: Any, names: Sequence[str], part: str) -> None:  # noqa: ANN401  whatever the file holds
    if not isinstance(given, dict):
        raise ProofWrong(part, "it is not what belongs here")
    if unknown := [name for name in given if name not in names]:
        raise ProofWrong(part, f"{unknown[0]!r} does not belong here: a name was altered")


def _text(given: Mapping[str, Any], name: str, part: str) -> str:
    value = given.get(name)
    if not isinstance(value, str):
        raise ProofWrong(f"{part}.{name}".strip("."), "it is missing")
    return value


def _lines(told: Mapping[str, Any], name: str) -> str:
    lines = told.get(name)
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise ProofWrong(name, "it is missing")
    return "\n".join(lines) + "\n"


def _hashes(given: Mapping[str, Any], name: str, part: str) -> list[bytes]:
    steps = given.get(name)
    if not isinstance(steps, list) or not all(isinstance(step, str) and _HASH.fullmatch(step) for step in steps):
        raise ProofWrong(f"{part}.{name}".strip("."), "it is no list of hashes")
    return [bytes.fromhex(step) for step in steps]


def _base64(text: str) -> bytes:
    """Bytes of Base64 that is written in the one way it can be."""
    raw = base64.b64decode(text, validate=True)
    if base64.b64encode(raw).decode() != text:
        raise ValueError(f"{text[:20]!r} is no Base64")
    return raw


def _first_difference(one: bytes, other: bytes) -> int:
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


# In words


def moment(microseconds: int) -> str:
    """A time in China, to the second; one that no calendar has as it stands."""
    try:
        return datetime.fromtimestamp(microseconds // 1_000_000, _CHINA).strftime("%Y-%m-%d %H:%M:%S +08:00")
    except (ValueError, OverflowError, OSError):
        return f"{microseconds} µs"


def in_words(verdict: Verdict) -> list[str]:
    """What a file proves, line by line, for people."""
    checkpoint, old = verdict.checkpoint, verdict.old
    lines = [f"proven 已证明: {len(verdict.records)} record(s) 条记录"] if verdict.records else []
    for each in verdict.records:
        lines += [*_record_in_words(each), f"  event 序号 {each.number}, segment 段 {each.segment}"]
        if each.whole:
            lines.append(f"  whole event opened 全文已公开: {len(each.whole)} bytes")
    for promise in verdict.promises:
        lines += [f"signed, not sealed yet 已签名、尚未封存: to be sealed by 应于 {promise.by} 前封存"]
        lines += _record_in_words(promise)
    origin = (checkpoint.note if checkpoint is not None else verdict.promises[0].note).origin
    if checkpoint is not None:
        if old is not None:
            lines.append(f"proven 已证明: the record only grew 记录只增不改: {_size(old)} → {_size(checkpoint)}")
        lines.append(f"checkpoint 检查点: {origin}, {_size(checkpoint)}")
    lines.append(f"signed by 签名公钥: {verdict.key.text(origin)}")
    if not verdict.trusted:
        lines.append(
            "! this key stands in the file itself: compare it with the published one, or give that one with --key"
            " 公钥取自本文件，请与公布的公钥核对"
        )
    return lines


def _record_in_words(each: Proven | Promise) -> list[str]:
    place = f"by 由 {each.actor}, region 地区 {each.region}" if each.actor else "place not told 地点不公开"
    return [
        f"- {each.what} of {each.key}, {place}",
        f"  happened 发生: {moment(each.event_time)}; recorded 入账: {moment(each.arrived)}",
    ]


def _size(checkpoint: Checkpoint) -> str:
    return f"{checkpoint.segments} segments, {checkpoint.events} events, {checkpoint.time}"


def main(arguments: Sequence[str]) -> int:
    """Check one file from the command line; exit code 0 proven, 1 not proven, 2 wrong usage."""
    given = list(arguments)
    named = given[given.index("--key") + 1 :][:1] if "--key" in given else []
    files = [each for each in given if each != "--key" and each not in named]
    if len(files) != 1 or ("--key" in given) != bool(named):
        sys.stderr.write("usage: python verifier.py FILE [--key KEY]\n")
        return 2
    try:
        lines = in_words(verify_file(Path(files[0]).read_bytes(), read_key(named[0]) if named else None))
    except OSError as error:
        sys.stderr.write(f"{files[0]}: {error.strerror}\n")
        return 2
    except ProofWrong as error:
        sys.stderr.write(f"NOT PROVEN 未能证明: {error}\n")
        return 1
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
