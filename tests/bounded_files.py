"""A disk without room for more, as far as one file goes: no right to mount a small one is needed."""

import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def no_file_beyond(size: int) -> Iterator[Callable[[], None]]:
    """No file of this process grows beyond so many bytes, until it is told that there is room again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    def freed() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    try:
        yield freed
    finally:
        freed()
