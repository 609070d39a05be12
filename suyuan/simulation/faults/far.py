"""The nation behind the node: it takes what the relay ships, over a wire that fails, into a store that fails too."""

from pathlib import Path
from random import Random

from suyuan.ledger.events import Event
from suyuan.ledger.journal import Journal
from suyuan.ledger.signer import Signer
from suyuan.node import Node, place_secrets
from suyuan.relay.following import Follower
from suyuan.relay.link import Link, Unreachable
from suyuan.relay.messages import read
from suyuan.relay.nation import Nation, register
from suyuan.relay.province import Again, Province
from suyuan.settings import FILE
from suyuan.simulation.faults.clock import Clock
from suyuan.simulation.faults.disks import Server
from suyuan.simulation.faults.stage import Stage
from suyuan.simulation.faults.store import Crash, FaultyJournal
from suyuan.simulation.faults.weather import Note, Weather
from suyuan.simulation.world import HOUR

PROVINCE = "44"
STEPS_MAX = 1_000
"""Steps after which a relay that has no faults must have come to rest."""


class Far:
    """A nation with one province. `step` is the province's relay going on once; the wire and the nation may fail."""

    def __init__(self, folder: Path, seed: str, clock: Clock, note: Note, province: Node) -> None:
        self._rng = Random(f"{seed}:far")  # noqa: S311  a simulation, no secret
        self.weather = Weather(f"{seed}:far")
        self._clock = clock
        self._note = note
        self._cut_until = 0
        self._relay: Province | None = None
        self._server: Server | None = None
        folder.mkdir(parents=True)
        # One pseudonym everywhere: the nation's person key is the province's.
        place_secrets(folder, province.privacy.keys()[0] + self._rng.randbytes(48))
        (folder / FILE).write_text('engine = "memory"\n')
        self.node = Node.open(folder, clock)
        self.node.use_catalogue(province.catalogue.content)
        self._faulty = FaultyJournal(self.node.journal, self.weather, Stage(self._rng), clock, note)
        self.node.journal = self.node.ledger.journal = self._faulty
        self.node.ledger.tag = "nation"
        self.weather.calm = True
        register(self.node, PROVINCE, province.signer.public)
        self.weather.calm = False
        self._key = Signer(self.node.signer.seed).public
        self._begin_anew()

    def _begin_anew(self) -> None:
        """The nation's process begins, with nothing but what is stored."""
        self._faulty.down = False
        self._nation = Nation(self.node)
        self._follower = Follower(self.node)

    @property
    def journal(self) -> Journal:
        """What the nation has, without faults."""
        return self._faulty.inner

    def step(self, server: Server) -> bool:
        """The province's relay goes on once; whether there is more to do.

        Raises:
            Stopped: it cannot go on, and that is a fault of ours.
        """
        if self._relay is None or self._server is not server:
            self._server = server  # another process of the province: it knows only what is stored
            link = Link(self._post, PROVINCE, server.node.signer, self._key, server.node.ledger, speaker=PROVINCE)
            self._relay = Province(server.node, link)
        try:
            return self._relay.step()
        except Again:
            return True
        except Unreachable:
            return False

    def settle_down(self, server: Server) -> bool:
        """Until neither side has anything to tell, without faults; whether there was anything."""
        self._cut_until = 0
        before, self.weather.calm = self.weather.calm, True
        steps = 0
        while steps < STEPS_MAX and (self.step(server) or self._follow()):
            steps += 1
        self.weather.calm = before
        return 0 < steps < STEPS_MAX

    def _follow(self) -> bool:
        return self._follower.step() > 0

    def _post(self, question: bytes, _: float) -> bytes:
        """Bring a question to the nation, and its answer back, as far as the wire lets."""
        weather = self.weather
        if weather.strikes("province cut off"):
            self._cut_until = self._clock.now + self._rng.randint(1, 72) * HOUR
            self._note("province cut off", until=self._cut_until)
        if self._clock.now < self._cut_until or weather.strikes("relay: question lost"):
            raise Unreachable("the wire is cut")
        if weather.strikes("relay: question twice"):
            self._answered(question)
        answer = self._answered(question)
        if weather.strikes("relay: answer lost"):
            raise Unreachable("the answer was lost")
        return answer

    def _answered(self, question: bytes) -> bytes:
        try:
            answer = self._nation.answer(read(question))
            if self._rng.random() < 0.3:  # noqa: PLR2004  it follows its own feed in a thread of its own
                self._follow()
        except Crash:
            self._begin_anew()
            raise Unreachable("the nation's process ended") from None
        except Exception as error:
            if self._faulty.weather.calm:
                raise
            raise Unreachable(f"the nation answered with an error: {error}") from error
        return answer

    def held(self) -> list[Event]:
        """Every event that came from the province, as the nation has it."""
        found: list[Event] = []
        position: bytes | None = None
        while True:
            events, position = self.journal.since(position, 10_000)
            if not events:
                return [event for event in found if event.origin.startswith(f"{PROVINCE}/")]
            found += events

    def close(self) -> None:
        """Release the folder."""
        self.node.close()
