"""A stream of bytes cut into numbered lines, in chunks, with a limit on the length of a line."""

from collections.abc import Iterable, Iterator

import msgspec

LINE_BYTES_MAX = 1_000_000
"""No line of a table comes near it; a longer one is a missing line break, and must not fill the memory."""


class Chunk(msgspec.Struct):
    """Consecutive lines without their line feeds."""

    first: int
    """Number of the first line, from 1."""
    lines: list[bytes]
    too_long: dict[int, int]
    """Lines beyond the limit, by number, with their length in bytes; they stand empty among `lines`."""


def chunks(blocks: Iterable[bytes], rows: int, longest: int = LINE_BYTES_MAX) -> Iterator[Chunk]:
    """Cut blocks of bytes into chunks of at most `rows` lines; memory stays at one block and one chunk."""
    cutter = _Cutter(longest)
    for block in blocks:
        cutter.take(block)
        while len(cutter.lines) >= rows:
            yield cutter.give(rows)
    cutter.end()
    if cutter.lines:
        yield cutter.give(len(cutter.lines))


class _Cutter:
    """Lines gathered and not yet given away."""

    def __init__(self, longest: int) -> None:
        self.longest = longest
        self.first = 1
        self.lines: list[bytes] = []
        self.too_long: dict[int, int] = {}
        self.tail = b""
        """The beginning of a line whose end has not come yet."""
        self.dropped = 0
        """Bytes of such a line that is already beyond the limit and is not kept."""

    def take(self, block: bytes) -> None:
        """Cut one more block."""
        parts = block.split(b"\n")
        if self.dropped:
            self.dropped += len(parts[0])
            if len(parts) == 1:
                return
            self._pass_over(self.dropped)
            self.dropped = 0
            del parts[0]
        parts[0] = self.tail + parts[0]
        self.tail = parts.pop()
        if len(self.tail) > self.longest:
            self.dropped, self.tail = len(self.tail), b""
        if max(map(len, parts), default=0) <= self.longest:
            self.lines += parts
            return
        for part in parts:
            if len(part) > self.longest:
                self._pass_over(len(part))
            else:
                self.lines.append(part)

    def end(self) -> None:
        """The last line, where no line feed ends it."""
        if self.dropped:
            self._pass_over(self.dropped)
        elif self.tail:
            self.lines.append(self.tail)

    def give(self, rows: int) -> Chunk:
        """The next lines, in order."""
        after = self.first + rows
        long = {number: self.too_long.pop(number) for number in list(self.too_long) if number < after}
        chunk = Chunk(self.first, self.lines[:rows], long)
        del self.lines[:rows]
        self.first = after
        return chunk

    def _pass_over(self, size: int) -> None:
        self.too_long[self.first + len(self.lines)] = size
        self.lines.append(b"")
