"""Who is calling at the NHSA address: path token, x-tif headers, cainfo, sign-in number, or the key the door knows."""

import hashlib
import time
from collections.abc import Callable, Mapping
from secrets import token_hex
from threading import Lock
from urllib.parse import unquote

from suyuan.formats.nhsa.envelope import Envelope, signed_text
from suyuan.intake.desk import day_of
from suyuan.ledger.privacy import Privacy
from suyuan.node import Node
from suyuan.portals.signatures import KeyWrong, hmac_sm3, same, verify_sm2, x_tif_signature
from suyuan.storage.clients import Client
from suyuan.storage.tables import Tables

CLOCKS_APART = 600
"""Seconds by which the clock of a caller who signs may differ from ours."""

KNOWN_SECONDS = 5.0
"""How long what is agreed with a client is remembered: a change holds after that."""

PROOFS_MAX = 200_000
"""Signatures remembered at once; the oldest go first, and are too old to count anyway at 300 a second."""

_MARK = 8
_TAG = 6
_SIGN_NO = 30
"""A sign-in number: the day (8), a tag (6), and what proves that it is ours (16)."""

_MILLISECONDS = 13
"""Digits of a time in milliseconds, as CSB gateways write it; seconds have ten."""


class NotProven(Exception):  # noqa: N818  the reader's word for it
    """The call is nobody's; the words, in Chinese, say what was wrong and what to do."""


def proofs_of(node: Node) -> "Proofs":
    """The proofs of an open node."""
    return Proofs(node.tables, node.privacy, node.ledger.clock)


class Proofs:
    """What proves who calls. Tokens and sign-in numbers follow from the node's secret: they hold after a restart."""

    def __init__(self, tables: Tables, privacy: Privacy, clock: Callable[[], int]) -> None:
        self._tables = tables
        self._clock = clock
        self._secret = hmac_sm3(privacy.keys()[1], b"suyuan nhsa address")
        self._clients: dict[str, tuple[float, Client | None]] = {}
        self._used: dict[str, tuple[float, bytes]] = {}
        """Signatures seen, with the end of their time and a digest of the body that they came with."""
        self._using = Lock()
        self._ended_day = ""
        self._ended: set[str] = set()

    # Tokens

    def path_token(self, client: Client) -> str:
        """The token that stands in the address of a client that cannot sign; empty where none was issued."""
        return f"{client.institution}.{self._token('path', client)}" if client.tokens else ""

    def x_tif_token(self, client: Client) -> str:
        """The secret with which a client signs x-tif headers and keyed SM3 digests; empty where none was issued."""
        return self._token("x-tif", client) if client.tokens else ""

    def _token(self, use: str, client: Client) -> str:
        return hmac_sm3(self._secret, f"{use} {client.institution} {client.tokens}".encode()).hex()[:40]

    def client(self, institution: str) -> Client:
        """What is agreed with an institution."""
        known = self._remembered(f"code {institution}", lambda: self._tables.client(institution))
        return known or Client(institution=institution)

    def _remembered(self, name: str, ask: Callable[[], Client | None]) -> Client | None:
        now = time.monotonic()
        until, client = self._clients.get(name, (0.0, None))
        if until < now:
            if len(self._clients) >= PROOFS_MAX:
                self._clients.clear()
            client = ask()
            self._clients[name] = (now + KNOWN_SECONDS, client)
        return client

    # Proofs

    def by_path(self, token: str) -> str:
        """The institution whose path token this is. Raises NotProven."""
        institution = unquote(token).partition(".")[0]
        right = self.path_token(self.client(institution))
        if not right or not same(unquote(token), right):
            raise NotProven("地址中的令牌无效，请向平台核对或重新申请")
        return institution

    def by_headers(self, headers: Mapping[str, str], raw: bytes) -> str:
        """The institution that signed the x-tif headers, whose names come in any letter case. Raises NotProven."""
        name, nonce = headers.get("x-tif-paasid", ""), headers.get("x-tif-nonce", "")
        written = headers.get("x-tif-timestamp", "")
        client = self._remembered(f"paasid {name}", lambda: self._tables.client_called(name))
        token = self.x_tif_token(client) if client is not None else ""
        if client is None or not token:
            raise NotProven(f"x-tif-paasid {name[:40]} 未登记令牌，请向平台申请")
        if not written.isdigit() or not nonce:
            raise NotProven("x-tif-timestamp应为秒级时间戳，x-tif-nonce不能为空")
        self._in_time(int(written) / (1000 if len(written) >= _MILLISECONDS else 1), "x-tif-timestamp")
        if not same(headers.get("x-tif-signature", ""), x_tif_signature(written, token, nonce)):
            raise NotProven("x-tif-signature不正确，应为SHA-256(timestamp+token+nonce+timestamp)的小写十六进制")
        self._once(f"x-tif {name} {written} {nonce}", raw)
        return client.institution

    def by_cainfo(self, envelope: Envelope, client: Client, raw: bytes) -> None:
        """The institution of the message signed its header, as was agreed. Raises NotProven."""
        if not envelope.cainfo:
            raise NotProven(f"该机构约定{client.verify.upper()}签名，cainfo不能为空")
        if not envelope.sent:
            raise NotProven("inf_time缺失或格式错误，签名报文应为yyyy-MM-dd HH:mm:ss")
        self._in_time(envelope.sent / 1_000_000, "inf_time")
        message = signed_text(envelope)
        if client.verify == "sm2":
            try:
                right = verify_sm2(client.public_key, message, envelope.cainfo)
            except KeyWrong as error:
                raise NotProven("该机构未登记有效的SM2公钥，请向平台登记") from error
        else:
            token = self.x_tif_token(client)
            right = bool(token) and same(envelope.cainfo, hmac_sm3(token.encode(), message).hex())
        if not right:
            raise NotProven(
                f"cainfo验签不通过：应为报文头（不含cainfo与input）按键名排序后的{client.verify.upper()}签名"
            )
        self._once(f"cainfo {client.institution} {envelope.cainfo}", raw)

    def _in_time(self, seconds: float, field: str) -> None:
        apart = abs(self._clock() / 1_000_000 - seconds)
        if apart > CLOCKS_APART:
            raise NotProven(f"{field}与平台时间相差超过{CLOCKS_APART // 60}分钟，请校准时钟")

    def _once(self, proof: str, raw: bytes) -> None:
        """A signature counts for one body alone: neither x-tif headers nor cainfo sign what is in it."""
        body = hashlib.blake2b(raw, digest_size=16).digest()
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

    # Sign-in

    def sign_in(self, institution: str) -> str:
        """A new sign-in number of an institution, valid until midnight in China."""
        day = self._today()
        tag = token_hex(_TAG // 2).upper()
        return f"{day}{tag}{self._sign(institution, day, tag)}"

    def _sign(self, institution: str, day: str, tag: str) -> str:
        proof = hmac_sm3(self._secret, f"sign-in {institution} {day} {tag}".encode()).hex()
        return proof[: _SIGN_NO - _MARK - _TAG].upper()

    def signed_in(self, institution: str, sign_no: str) -> bool:
        """Whether this is a sign-in number of the institution that still holds."""
        day, tag = sign_no[:_MARK], sign_no[_MARK : _MARK + _TAG]
        if len(sign_no) != _SIGN_NO or day != self._today() or not sign_no.isascii():
            return False
        return same(sign_no[_MARK + _TAG :], self._sign(institution, day, tag)) and sign_no not in self._ended_today()

    def sign_out(self, sign_no: str) -> None:
        """End a sign-in before its midnight; durable when this returns."""
        self._tables.end_sign_in(sign_no, self._today())
        self._ended_today().add(sign_no)

    def _today(self) -> str:
        return f"{day_of(self._clock()):%Y%m%d}"

    def _ended_today(self) -> set[str]:
        day = self._today()
        if self._ended_day != day:
            self._ended, self._ended_day = set(self._tables.ended_sign_ins(day)), day
        return self._ended
