"""Who is calling at the NHSA address: path token, x-tif headers, cainfo, sign-in number, or the key the door knows."""

import hashlib
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from secrets import token_hex
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from suyuan.formats.nhsa.envelope import Envelope, signed_text
from suyuan.intake.desk import day_of
from suyuan.ledger.privacy import Privacy
from suyuan.node import Node
from suyuan.portals.signatures import hmac_sm3, same, verify_sm2, x_tif_signature
from suyuan.storage.clients import Client, SignIn
from suyuan.storage.credentials import Credential, within_networks
from suyuan.storage.tables import Tables

CLOCKS_APART = 600
"""Seconds by which the clock of a caller who signs may differ from ours."""

CODE_MAX = 64
"""Characters of an institution's code; what is longer is nobody's, and is not remembered: anybody can send it."""

KNOWN_SECONDS = 5.0
"""How long what is agreed with a client is remembered: a change holds after that."""

PROOFS_MAX = 200_000
"""Signatures remembered at once; the oldest go first, and are too old to count anyway at 300 a second."""

_SIGN_NO = 30
"""Characters of a sign-in number: the day (8), and 88 random bits."""

_MILLISECONDS = 13
"""Digits of a time in milliseconds, as CSB gateways write it; seconds have ten."""

Known = TypeVar("Known")


class NotProven(Exception):  # noqa: N818  the field's word for it
    """The call is nobody's; the words, in Chinese, say what was wrong and what to do."""


class Proven(NamedTuple):
    """Who speaks, and by which credential; both empty where nobody is proven."""

    party: str = ""
    key: str = ""


NOBODY = Proven()


def proofs_of(node: Node) -> "Proofs":
    """The proofs of an open node."""
    return Proofs(node.tables, node.privacy, node.ledger.clock, shared=bool(node.settings.database))


class Proofs:
    """What proves who calls."""

    def __init__(self, tables: Tables, privacy: Privacy, clock: Callable[[], int], *, shared: bool = False) -> None:
        self._tables = tables
        self._shared = shared
        """Whether other servers take calls for the same record: then the tables keep which signatures were seen."""
        self._clock = clock
        self._secret = hmac_sm3(privacy.keys()[1], b"suyuan nhsa address")
        self._remembered: dict[str, tuple[float, Any]] = {}
        self._used: dict[str, tuple[float, bytes]] = {}
        """Signatures seen, with the end of their time and a digest of the body that they came with."""
        self._using = Lock()

    def client(self, institution: str) -> Client:
        """What is agreed with an institution."""
        if len(institution) > CODE_MAX:
            return Client(institution=institution)
        return self._once_in_a_while(f"client {institution}", lambda: self._tables.client(institution))

    def _credentials(self, institution: str, kind: str) -> list[Credential]:
        """The open credentials of an institution that are of a kind."""
        now = datetime.now(UTC)
        held = self._once_in_a_while(f"keys {institution}", lambda: self._tables.list_credentials(institution))
        return [one for one in held if one.kind == kind and one.is_open(now)]

    def _once_in_a_while(self, name: str, ask: Callable[[], Known]) -> Known:
        """An answer of the tables, remembered for some seconds."""
        now = time.monotonic()
        until, known = self._remembered.get(name, (0.0, None))
        if until < now:
            if len(self._remembered) >= PROOFS_MAX:
                self._remembered.clear()
            known = ask()
            self._remembered[name] = (now + KNOWN_SECONDS, known)
        answer: Known = known
        return answer

    def remembers_client(self, institution: str) -> bool:
        """Whether `client` answers without asking the tables."""
        return len(institution) > CODE_MAX or self._remembers(f"client {institution}")

    def remembers_sign_in(self, sign_no: str) -> bool:
        """Whether `by_sign_in` mostly answers without asking the tables."""
        return len(sign_no) != _SIGN_NO or self._remembers(f"sign-in {sign_no}")

    def _remembers(self, name: str) -> bool:
        return self._remembered.get(name, (0.0, None))[0] >= time.monotonic()

    # Proofs

    def path_token(self, key: str) -> str:
        """What stands in the address of a client that cannot sign: good there alone, as long as the key of this id."""
        return f"{key}.{hmac_sm3(self._secret, f'path {key}'.encode()).hex()[:40]}"

    def by_path(self, token: str, address: str) -> Proven:
        """The institution whose path token this is. Raises NotProven."""
        key = token.partition(".")[0]
        found = self._tables.find_credential(key)
        if found is None or found.kind != "key" or not same(token, self.path_token(key)):
            raise NotProven("地址中的令牌无效，请向平台核对或重新申请")
        _at_home(found, address)
        return Proven(found.institution, found.id)

    def by_headers(self, headers: Mapping[str, str], raw: bytes, address: str) -> Proven:
        """The institution that signed the x-tif headers, whose names come in any letter case. Raises NotProven."""
        number, nonce = headers.get("x-tif-paasid", ""), headers.get("x-tif-nonce", "")
        written = headers.get("x-tif-timestamp", "")
        found = self._tables.find_credential(number)
        token = self._tables.secret_of(found) if found is not None and found.kind == "key" else None
        if found is None or token is None:
            raise NotProven(f"x-tif-paasid {number[:40]} 不是平台签发的密钥编号，请向平台申请")
        if not (written.isascii() and written.isdigit() and len(written) <= _MILLISECONDS and nonce):
            raise NotProven("x-tif-timestamp应为秒级时间戳，x-tif-nonce不能为空")
        self._in_time(int(written) / (1000 if len(written) >= _MILLISECONDS else 1), "x-tif-timestamp")
        if not same(headers.get("x-tif-signature", ""), x_tif_signature(written, token.decode(), nonce)):
            raise NotProven("x-tif-signature不正确，应为SHA-256(timestamp+token+nonce+timestamp)的小写十六进制")
        _at_home(found, address)
        self._once(f"x-tif {number} {written} {nonce}", raw)
        return Proven(found.institution, found.id)

    def by_cainfo(self, envelope: Envelope, client: Client, raw: bytes) -> Proven:
        """The institution of the message signed its header, as was agreed. Raises NotProven."""
        if not envelope.cainfo:
            raise NotProven(f"该机构约定{client.verify.upper()}签名，cainfo不能为空")
        if not envelope.sent:
            raise NotProven("inf_time缺失或格式错误，签名报文应为yyyy-MM-dd HH:mm:ss")
        self._in_time(envelope.sent / 1_000_000, "inf_time")
        message = signed_text(envelope)
        key = self._signed(client, message, envelope.cainfo)
        if not key:
            raise NotProven(
                f"cainfo验签不通过：应为报文头（不含cainfo与input）按键名排序后的{client.verify.upper()}签名"
            )
        # By what was signed, not by the signature, which can be written in several ways.
        self._once(f"cainfo {client.institution} {hashlib.sha256(message).hexdigest()}", raw)
        return Proven(client.institution, key)

    def _signed(self, client: Client, message: bytes, signature: str) -> str:
        """Which of the institution's own keys made this (several while one is being replaced); empty for none."""
        for one in self._credentials(client.institution, "sm2" if client.verify == "sm2" else "key"):
            if client.verify == "sm2":
                right = verify_sm2(one.public_key, message, signature)
            else:
                secret = self._tables.secret_of(one)
                right = secret is not None and same(signature, hmac_sm3(secret, message).hex())
            if right:
                return one.id
        return ""

    def _in_time(self, seconds: float, field: str) -> None:
        apart = abs(self._clock() / 1_000_000 - seconds)
        if apart > CLOCKS_APART:
            raise NotProven(f"{field}与平台时间相差超过{CLOCKS_APART // 60}分钟，请校准时钟")

    def _once(self, proof: str, raw: bytes) -> None:
        """A signature counts for one body alone: neither x-tif headers nor cainfo sign what is in it."""
        body = hashlib.blake2b(raw, digest_size=16).digest()
        if self._shared:
            name = hashlib.blake2b(proof.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
            moment = time.time_ns() // 1000
            ends = moment + 2 * CLOCKS_APART * 1_000_000
            if self._tables.use_proof(name, body.hex(), ends, moment) != body.hex():
                raise NotProven("该签名已用于另一报文，请重新签名")
            return
        with self._using:
            now = time.monotonic()
            until, first = self._used.get(proof, (0.0, b""))
            if until > now and first != body:
                raise NotProven("该签名已用于另一报文，请重新签名")
            if until <= now:
                self._make_room(now)
                self._used[proof] = (now + 2 * CLOCKS_APART, body)

    def _make_room(self, now: float) -> None:
        """What is out of its time goes, then the oldest."""
        if len(self._used) >= PROOFS_MAX:
            self._used = {one: kept for one, kept in self._used.items() if kept[0] > now}
        while len(self._used) >= PROOFS_MAX:
            del self._used[next(iter(self._used))]

    # Sign-in: 9001 and 9002

    def sign_in(self, institution: str, by: Proven) -> str:
        """A new sign-in number of an institution, valid until midnight in China; durable when this returns."""
        day = self._today()
        sign_no = f"{day}{token_hex((_SIGN_NO - len(day)) // 2).upper()}"
        signed = SignIn(sign_no=sign_no, day=day, institution=institution, party=by.party, key=by.key)
        self._tables.begin_sign_in(signed)
        return sign_no

    def by_sign_in(self, institution: str, sign_no: str) -> Proven:
        """Who signed in under this number for the institution; nobody after midnight, a sign-out, or its key's end."""
        if len(sign_no) != _SIGN_NO or not sign_no.startswith(self._today()):
            return NOBODY
        signed = self._once_in_a_while(f"sign-in {sign_no}", lambda: self._tables.sign_in(sign_no))
        if signed is None or signed.institution != institution or self._tables.find_credential(signed.key) is None:
            return NOBODY
        return Proven(signed.party, signed.key)

    def sign_out(self, sign_no: str) -> None:
        """End a sign-in before its midnight; durable when this returns."""
        self._tables.end_sign_in(sign_no)
        self._remembered.pop(f"sign-in {sign_no}", None)

    def _today(self) -> str:
        return f"{day_of(self._clock()):%Y%m%d}"


def _at_home(credential: Credential, address: str) -> None:
    """The caller is in one of the networks of its credential, where any are listed. Raises NotProven."""
    if credential.networks and not within_networks(address, credential.networks):
        raise NotProven("来源地址不在该凭证登记的网络范围内，请向平台登记")
