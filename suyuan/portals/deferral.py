"""Accept and replay: while nothing can or may be recorded, uploads are laid aside durably and recorded later."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Gauge

from suyuan.formats.document import Document, Outcome
from suyuan.formats.keeping import packed_document, unpacked_document
from suyuan.intake import take_together, upload_of
from suyuan.node import Node
from suyuan.portals.failing import STORE, is_poison, is_store_down
from suyuan.portals.figures import highest, summed
from suyuan.portals.problem import Refused
from suyuan.relay.heard import note_heard, unrecovered
from suyuan.settlement.claim import Claim, FeeLine, Undo
from suyuan.storage.inbox import FOLDER, Inbox, InboxFull, Onlooker
from suyuan.storage.refusals import JournalRefusal

FORCED = "FORCED"
"""Stands in it while the operator wants uploads laid aside: for all server processes, and after a restart."""
LOOK_EVERY = 0.5
"""Seconds between two looks at how long uploads wait, and at whether the store is back."""
WELL_SECONDS = 1.0
"""A write of nothing that takes longer than this says that the store is not well yet."""
LEFT_EVERY = 60.0
"""Seconds between two looks for what a server process that was killed has left."""
RETRY_AFTER = {"retry-after": "30"}
ORDERS = frozenset({"hold_set", "hold_lifted"})
LATER = frozenset({"api", "epcis", "nhsa"})
"""Formats whose uploads may be laid aside. A scan screen keeps its baskets itself; a file is sent again."""


class Back(Exception):  # noqa: N818  the field's word for it
    """The store came back meanwhile: the upload is taken as usual."""


class _Entry(msgspec.Struct, array_like=True):
    """What is laid aside of an upload, sealed."""

    by: str
    accepted: int
    """µs UTC."""
    document: bytes
    name: tuple[str, str] | None = None
    """For whom, and the sender's own id; an entry of before does not tell."""


class Deferral:
    """Whether uploads are laid aside right now, and why; and what takes them in when the store is back."""

    def __init__(self, node: Node) -> None:
        self.node = node
        settings = node.settings
        self.on = settings.defer == "uploads" and settings.engine != "memory"
        """Uploads are laid aside where the store is slow or down; without it only where a record is not recovered."""
        self.reason = ""
        """Why uploads are laid aside, in words; empty while they are recorded at once."""
        self.short = ""
        """Why there is less room to lay anything aside than `defer_mb`, or none, in words; empty where there is all."""
        self.forced = False
        """The operator said so; only the operator ends it."""
        self.unrecovered = ""
        """Why nothing may be recorded before the nation is heard (`relay.heard`), in words; empty where it may."""
        self.log = structlog.get_logger("suyuan")
        self._inbox: Inbox | None = None
        self._opening = threading.Lock()
        """One place for this process, however many uploads find at once that they are to be laid aside."""
        self._turn = threading.Lock()
        """Held while an upload is laid aside, and while the last one is taken out: none falls between."""
        self._replaying = threading.Lock()
        self._onlooker = Onlooker(self._folder, self._name_of)
        self._figures: list[tuple[Gauge, Callable[[], float]]] = []
        self._looking: asyncio.Task[None] | None = None
        self._looked_for_left = 0.0
        self.idle: Callable[[], bool] = lambda: True
        """Whether nobody is in line who came before."""
        self.since: Callable[[], float] = lambda: 0.0
        """When those came who are being served at the counter (monotonic); 0 for nobody."""

    # Its state, for everybody

    @property
    def waiting(self) -> int:
        """How many uploads are laid aside here."""
        return self._inbox.waiting if self._inbox is not None else 0

    def notice(self) -> str:
        """One line for headers and probes; empty while all is as usual."""
        if not self.reason:
            return ""
        return f"deferring; waiting={self.waiting}{'; no room' if self.refusing else ''}"

    def told(self) -> str:
        """The same with why, and whether there is room, for the operator."""
        return "; ".join(filter(None, (self.notice(), self.reason, self.short)))

    @property
    def refusing(self) -> bool:
        """Whether uploads are neither recorded nor laid aside: they were to be, and there is no room at all."""
        return bool(self.reason) and self._roomless

    @property
    def _roomless(self) -> bool:
        return bool(self.short) and self._inbox is None

    def waiting_anywhere(self) -> int:
        """How many uploads are laid aside by all server processes of this folder together."""
        return self._onlooker.waiting()

    def waits(self, institution: str, msgid: str) -> bool:
        """Whether an upload with this id is laid aside, by whichever server process of this folder."""
        return self._onlooker.waits((institution, msgid))

    def _name_of(self, sealed: bytes) -> tuple[str, str]:
        kept = self._opened(sealed)
        return kept.name or _named(unpacked_document(kept.document), kept.by)

    def _opened(self, sealed: bytes) -> _Entry:
        return msgspec.msgpack.decode(self.node.privacy.unseal(sealed), type=_Entry)

    def observe(self, registry: CollectorRegistry) -> None:
        """Be among the figures."""
        laid = summed("suyuan_uploads_deferred", "Uploads laid aside until the store is back.", registry)
        state = highest("suyuan_store_deferring", "1 while uploads are laid aside.", registry)
        kept = highest("suyuan_quarantined", "Messages on which our own code failed.", registry)
        self._figures = [
            (laid, lambda: self.waiting),
            (state, lambda: bool(self.reason)),
            (kept, lambda: self.node.quarantined()[0]),
        ]

    def tell(self) -> None:
        """Note the figures as they are now."""
        for gauge, ask in self._figures:
            gauge.set(ask())

    # Beginning and ending

    async def start(self) -> None:
        """Look at the store from now on. What was laid aside before a restart is recorded before anything new."""
        settings = self.node.settings
        left = await asyncio.to_thread(self.waiting_anywhere)
        if settings.engine == "memory" or not (self.on or left or settings.nation):
            return
        if self.on or left:
            await asyncio.to_thread(self._open)
        await asyncio.to_thread(self.follow)
        if self._held:
            pass  # recorded when the operator says so, or once the record is recovered
        elif self.waiting:
            self._begin("what was laid aside before the restart is being recorded")
            await asyncio.to_thread(self._replay)
        else:
            await asyncio.to_thread(self._take_over)
        self._looking = asyncio.create_task(self._look())

    async def stop(self) -> None:
        """What waits stays on disk for the next start."""
        if self._looking is not None:
            self._looking.cancel()
            with suppress(asyncio.CancelledError):
                await self._looking
        with self._replaying:
            if self._inbox is not None:
                self._inbox.close()

    @property
    def _folder(self) -> Path:
        return self.node.folder / FOLDER

    def _open(self) -> Inbox | None:
        """Where this process lays aside; None where there is no room, and `short` says so until there is."""
        with self._opening:
            if self._inbox is not None:
                return self._inbox
            size, words = self.node.settings.defer_mb << 20, ""
            try:
                self._inbox = Inbox.open(self._folder, size)
            except OSError as error:
                words = f"uploads cannot be laid aside ({error.strerror or error})"
            else:
                if self._inbox.bytes_max < size:
                    words = f"there is room for {self._inbox.bytes_max >> 20} MB of uploads only"
            if words:
                words = (
                    f"{words}: {self._folder} needs {size >> 20} MB. Free space there; or set a smaller defer_mb and "
                    "start the server again"
                )
            if words != self.short:
                self.short = words
                self.log.warning("room to lay aside", short=words)
            return self._inbox

    def begin(self, reason: str) -> None:
        """Lay uploads aside from now on, where that was chosen."""
        if self.on and not self._roomless and not self.reason:
            self._begin(reason)

    def _begin(self, reason: str) -> None:
        """For what only a person ends, also where it has begun before: who reads why must read what to do."""
        if reason != self.reason:
            self.reason = reason
            self.log.warning("deferring", reason=reason)

    def force(self, *, on: bool) -> None:
        """The operator begins or ends it.

        Raises:
            Refused: the setting `defer` is off, or there is no room.
        """
        if not self.on:
            raise Refused("not_now", what="Uploads are never laid aside here: the setting defer is off.")
        if on and self._open() is None:
            raise Refused("not_now", what=self.short)
        if on:
            (self._folder / FORCED).touch(0o600)
        else:
            (self._folder / FORCED).unlink(missing_ok=True)
        self.follow()

    def follow(self) -> None:
        """Do as the operator said and as the nation did, to whichever process."""
        self.forced = self.on and (self._folder / FORCED).exists()
        with suppress(*STORE):  # where nothing is read, nothing is recorded either
            self.unrecovered = unrecovered(self.node)
            if self.unrecovered:
                note_heard(self.node, "")  # for other hosts, whose folders may tell less
        if self.unrecovered and self.node.settings.engine != "memory":
            self._open()
            self._begin(self.unrecovered)
        elif self.forced:
            self._begin("the operator said so")

    @property
    def _held(self) -> bool:
        """Whether what waits has to wait on, however well the store is."""
        return self.forced or bool(self.unrecovered)

    async def _look(self) -> None:
        while True:
            since = self.since()
            if since and time.monotonic() - since > self.node.settings.defer_after_seconds:
                self.begin(f"an upload has waited for {time.monotonic() - since:.0f} seconds")
            try:
                if self._roomless:
                    await asyncio.to_thread(self._open)
                await asyncio.to_thread(self.follow)
                if not self._held and self.idle():
                    await asyncio.to_thread(self._replay if self.reason else self._take_over)
            except Exception as error:  # the next look tries again
                self.log.exception("replay", error=type(error).__name__)
            await asyncio.sleep(LOOK_EVERY)

    # One upload

    def refuses(self, document: Document) -> str:
        """Why this upload cannot be laid aside; empty where it can."""
        records = document.records
        orders = any(getattr(one, "kind", "") in ORDERS for one in records)
        if document.in_file or document.format not in LATER or orders:
            return "It is not laid aside: an order acts from the moment it is acknowledged, a file is sent again."
        if any(isinstance(one, Claim) and one.advice for one in records):
            return "Advice needs the record, which does not answer now."
        if document.format == "nhsa" and any(isinstance(one, FeeLine) for one in records):
            return "Fee lines need the record, which does not answer now."
        if any(isinstance(one, (Claim, Undo)) for one in records) and self.node.settings.defer_claims == "refuse":
            return "A claim is not decided without the record. Nothing of it was taken or paid."
        return ""

    def lay_aside(self, document: Document, by: str) -> Outcome:
        """Lay an upload aside durably; answers only where it is refused as a whole already.

        Raises:
            Refused: `deferred` where it is laid aside, `unavailable` or `no_room` where it cannot be.
        """
        if why := self.refuses(document):
            raise Refused("unavailable", what=why, headers=RETRY_AFTER)
        looked_at = upload_of(self.node.desk, document, by)
        if isinstance(looked_at, Outcome):
            return looked_at
        inbox = self._open()
        if inbox is None:
            raise Refused("no_room", headers=RETRY_AFTER)
        accepted = self.node.ledger.clock()
        entry = msgspec.msgpack.encode(_Entry(by, accepted, packed_document(document), _named(document, by)))
        _, sealed = self.node.privacy.seal(entry)
        with self._turn:
            if not self.reason:
                raise Back
            try:
                number = inbox.put(sealed)
            except (InboxFull, OSError) as error:
                raise Refused("no_room", headers=RETRY_AFTER) from error
        raise Refused("deferred", value=str(number), headers={"retry-after": "60"})

    # Replaying

    def _replay(self) -> None:
        """Take in what waits, in order, and go on as usual when nothing is left."""
        with self._replaying:
            begun = time.monotonic()
            try:
                self.node.journal.append([], {})
            except Exception as error:  # noqa: BLE001  not yet
                self.reason = f"the store does not write: {said_by(error)}"
                return
            if time.monotonic() - begun > WELL_SECONDS:
                self.reason = f"the store takes {time.monotonic() - begun:.1f} seconds to write nothing"
                return
            self.follow()  # what answers now may be another copy of the record than what failed
            if self._held:
                return
            if self._inbox is not None and not self._drained(self._inbox):
                return
            for left in self._left():
                if not self._drained(left):
                    return
            with self._turn:
                if not self.waiting and not self._held:
                    self.log.warning("deferred uploads recorded", reason=self.reason)
                    self.reason = ""

    def _take_over(self) -> None:
        """Take in what killed processes have laid aside, whether or not this one lays anything aside."""
        with self._replaying:
            for left in self._left():
                if not self._drained(left):
                    return

    def _left(self) -> Iterator[Inbox]:
        """What server processes that were killed have laid aside; looked for now and then."""
        if time.monotonic() - self._looked_for_left > LEFT_EVERY or not self._looked_for_left:
            yield from Inbox.left(self._folder)
            self._looked_for_left = time.monotonic()  # not where the store failed again: then it is looked for at once

    def _drained(self, inbox: Inbox) -> bool:
        """Take in all that waits in an inbox; false where the store failed again.

        Killed between the two steps, an upload is taken in once more: it finds its first answer in the record.
        """
        while (entry := inbox.first()) is not None:
            if not self._taken(entry.content):
                return False
            inbox.take_out(entry.number)
        return True

    def _taken(self, sealed: bytes) -> bool:
        kept = self._opened(sealed)
        document = unpacked_document(kept.document)
        (result,) = take_together(self.node.desk, [(document, kept.by)])
        if isinstance(result, Exception):
            if is_store_down(result) or not is_poison(result):
                self.reason = f"the store failed again: {said_by(result)}"
                return False
            self.node.quarantine.keep("document", "take", kept.document, kept.by, result, acknowledged=True)
        return True


def _named(document: Document, by: str) -> tuple[str, str]:
    return document.institution or by, document.msgid


def said_by(error: Exception) -> str:
    """An error's words: our own whole, for they end with what to do; others as far as one line goes."""
    return str(error) if isinstance(error, JournalRefusal) else str(error)[:200]
