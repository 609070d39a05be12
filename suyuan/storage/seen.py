"""Events that this process has seen stored: they are there for ever, so an append need not ask for them again."""

from collections.abc import Mapping

ENTRIES_MAX = 200_000
"""Of a generation; two are kept: about 50 MB in all."""


class Seen:
    """What was seen while one server was not lost; safe in any number of threads, for it only says what stays true."""

    def __init__(self) -> None:
        self._younger: dict[str, int] = {}
        self._older: dict[str, int] = {}

    def get(self, key: str, default: int = 0) -> int:
        """A sequence that the key has reached at least."""
        found = self._younger.get(key)
        return found if found is not None else self._older.get(key, default)

    def note(self, sequences: Mapping[str, int]) -> None:
        """The keys have come so far."""
        younger = self._younger
        younger.update(sequences)
        if len(younger) > ENTRIES_MAX:
            self._younger, self._older = {}, younger


class SeenSequences:
    """How far keys have come, forgotten when the server is lost: another one may have been promoted with less."""

    def __init__(self) -> None:
        self._losses = 0
        self._seen = Seen()

    def after(self, losses: int) -> Seen:
        """What was seen since so many losses; taken before one asks: what a lost server answers is not noted."""
        if losses != self._losses:
            self._losses, self._seen = losses, Seen()
        return self._seen
