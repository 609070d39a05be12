"""When a server seals by itself: at a size or an age, and what it tidies up afterwards."""

from suyuan.lake.lake import PAGE, Lake
from suyuan.lake.refusals import LakeRefusal
from suyuan.lake.segment import SEGMENT_EVENTS

SMALL_FILES = 32
"""So many small files are merged: a server that seals each hour does so once a day or two."""
MEMORY_MB = 512
"""What merging may take of a server's memory."""
MOST = 4 * SEGMENT_EVENTS
"""Events sealed at one look: some seconds, which is how long a server that stops waits for it."""
_MINUTE = 60_000_000


class Rhythm:
    """Looks now and then at what waits to be sealed. One of several servers on one lake seals; the others find it done.

    `events` and `minutes` are the limits of size and age, `days` those of retention; 0 is no limit.
    """

    def __init__(self, lake: Lake, *, events: int, minutes: int, days: int) -> None:
        self._lake = lake
        self._feed, self._clock = lake.source.feed, lake.source.clock
        self._events, self._minutes, self._days = events, minutes, days
        self._sealed = -1
        self._position: bytes | None = None
        self._waiting = 0
        self._since = 0
        """When the first of those that wait was seen, µs UTC."""

    def look(self) -> int:
        """Seal where it is time; answers how many events were sealed. One process beside this one does the work.

        Raises:
            LakeRefusal: the lake cannot be read or written.
        """
        self._count()
        if not self._due():
            return 0
        sealed = self._lake.seal(workers=1, most=MOST) or 0
        if sealed:
            self._tidy()
        return sealed

    def _count(self) -> None:
        """Go on counting from where the last look ended; each event is read once for it."""
        manifest = self._lake.manifest()
        if manifest.events != self._sealed:
            self._sealed, self._position, self._waiting, self._since = manifest.events, manifest.position, 0, 0
        enough = self._events or PAGE
        while self._waiting < enough:
            try:
                batches, self._position = self._feed(self._position, PAGE)
            except ValueError as error:
                raise LakeRefusal(f"the lake has sealed what the journal does not know: {error}") from error
            if not batches:
                return
            self._waiting += sum(count for count, _ in batches)
            self._since = self._since or self._clock()

    def _due(self) -> bool:
        if not self._waiting:
            return False
        old = bool(self._minutes) and self._clock() - self._since >= self._minutes * _MINUTE
        return old or (bool(self._events) and self._waiting >= self._events)

    def _tidy(self) -> None:
        from suyuan.lake.compaction import compact, retain  # noqa: PLC0415  DuckDB, when there is something to do

        manifest = self._lake.manifest()
        if self._days:
            retain(self._lake.folder, self._days, self._clock())
        if sum(file.segments[0] == file.segments[1] for file in manifest.files) > SMALL_FILES:
            compact(self._lake.folder, memory_mb=MEMORY_MB, threads=1)
