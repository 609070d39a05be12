"""A link to the nation over HTTP: signed questions, answers proven to be the nation's and to this question."""

from collections.abc import Callable
from typing import Any

import httpx
import msgspec

from suyuan.ledger.ledger import Ledger
from suyuan.ledger.signer import Signer
from suyuan.relay.messages import PROTOCOL, Head, Unreadable, What, read, written
from suyuan.relay.nation import Answer

PATH = "/relay/v1"
KIND = "application/x-suyuan-relay"
TIMEOUT = 30.0
"""Seconds for a slice; a question of a claim has its own budget (`asking.py`)."""


class Unreachable(Exception):  # noqa: N818  the reader's word for it
    """The nation did not answer, or what answered is not the nation."""


class Post:
    """Brings messages to an address by HTTP, and their answers back."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/") + PATH
        self._client = httpx.Client(timeout=TIMEOUT, trust_env=False)

    def __call__(self, question: bytes, timeout: float) -> bytes:
        """The answer to a message.

        Raises:
            Unreachable: there was none.
        """
        try:
            answered = self._client.post(
                self.address, content=question, headers={"content-type": KIND}, timeout=timeout
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise Unreachable(f"no answer from {self.address}: {type(error).__name__}: {error}") from error
        if answered.status_code != httpx.codes.OK:
            raise Unreachable(f"{self.address} answered {answered.status_code}: {_words(answered)}")
        return answered.content

    def close(self) -> None:
        """Release the connections."""
        self._client.close()


class Link:
    """Speaks for one province. Any number of threads may use it."""

    def __init__(
        self,
        post: Callable[[bytes, float], bytes],
        province: str,
        signer: Signer,
        nation_key: bytes,
        ledger: Ledger,
        *,
        speaker: str = "",
    ) -> None:
        self._post = post
        self._province = province
        self._signer = signer
        self._nation_key = nation_key
        self._clock = ledger.clock
        self._speaker = speaker

    def call(self, what: What, body: bytes, timeout: float = TIMEOUT) -> Answer:
        """Ask, and see who answers.

        Raises:
            Unreachable: nobody did, or not the nation.
        """
        head = Head(
            protocol=PROTOCOL,
            sender=self._province,
            recipient=self._nation_key.hex(),
            what=what,
            at=self._clock(),
            content="",
            speaker=self._speaker,
        )
        question = written(self._signer, head, body)
        return self._proven(self._post(question, timeout), read(question).mark)

    def ask(self, what: What, value: Any = None, timeout: float = TIMEOUT) -> Answer:  # noqa: ANN401  any plain value
        """Ask with a plain value.

        Raises:
            Unreachable: as for `call`.
        """
        return self.call(what, msgspec.msgpack.encode(value), timeout)

    def _proven(self, raw: bytes, question: str) -> Answer:
        try:
            message = read(raw)
            if not message.is_by(self._nation_key) or message.head.answers != question:
                raise Unreachable("what answers has not signed with the key of the nation (setting nation_key)")
            if message.head.recipient != self._signer.public.hex():
                raise Unreachable("the nation's answer is addressed to another node")
            return msgspec.msgpack.decode(message.body, type=Answer)
        except (Unreadable, msgspec.MsgspecError) as error:
            raise Unreachable(f"the answer cannot be read: {error}") from error


def _words(answered: httpx.Response) -> str:
    try:
        told = answered.json()
        return str(told.get("detail") or told.get("title") or "")
    except (ValueError, AttributeError):
        return ""
