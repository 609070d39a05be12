"""A stage for several actors at once: real threads of which only one moves, and the seed says which."""

from collections.abc import Callable, Sequence
from random import Random
from threading import Semaphore, Thread


class _Actor:
    """One play on its way, with the signal that lets it go on."""

    def __init__(self, play: Callable[[], object]) -> None:
        self.play = play
        self.turn = Semaphore(0)
        self.result: object = None
        self.ended = False


class Stage:
    """Runs plays side by side; they change over only where `pause` is called, in an order that the seed decides."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._director = Semaphore(0)
        self._moving: _Actor | None = None

    @property
    def is_busy(self) -> bool:
        """Whether several actors are on the stage."""
        return self._moving is not None

    def together(self, plays: Sequence[Callable[[], object]]) -> list[object]:
        """What each play answered, in order, or what it raised; crashes of simulated processes too."""
        if len(plays) == 1:
            return [_outcome(plays[0])]
        actors = [_Actor(play) for play in plays]
        threads = [Thread(target=self._act, args=(actor,), name="actor", daemon=True) for actor in actors]
        for thread in threads:
            thread.start()
        while waiting := [actor for actor in actors if not actor.ended]:
            self._moving = self._rng.choice(waiting)
            self._moving.turn.release()
            self._director.acquire()
        self._moving = None
        for thread in threads:
            thread.join()
        return [actor.result for actor in actors]

    def pause(self) -> None:
        """Let somebody else go on, or nobody; harmless where there is only one actor."""
        actor = self._moving
        if actor is not None:
            self._director.release()
            actor.turn.acquire()

    def _act(self, actor: _Actor) -> None:
        actor.turn.acquire()
        actor.result = _outcome(actor.play)
        actor.ended = True
        self._director.release()


def _outcome(play: Callable[[], object]) -> object:
    try:
        return play()
    except BaseException as error:  # noqa: BLE001  it is the answer; the end of a simulated process is one too
        return error
