"""What runs once, however many processes serve: one takes the turn and does it, and if it dies another takes over."""

import asyncio
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog

from suyuan.storage.database import DatabaseTurn

LOOK_EVERY = 1.0
"""Seconds after which who has no turn tries to get it, and who has one looks whether it still holds."""


class Single(Protocol):
    """Something that runs once."""

    async def start(self) -> None:
        """Begin; this process has the turn."""
        ...

    async def stop(self) -> None:
        """End what was begun."""
        ...


class Turn(Protocol):
    """What one process at a time has, and nobody once that process is gone."""

    def take(self) -> bool:
        """Take it if nobody has it; whether it is ours now."""
        ...

    def holds(self) -> bool:
        """Whether it is still ours."""
        ...

    def free(self) -> None:
        """Leave it to others."""
        ...


class FolderTurn:
    """The turn among the processes that serve one folder: a lock that the system takes back from who is killed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Take it if nobody has it; without a path there is nobody else."""
        if self._path is None or self._file is not None:
            return True
        opened = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(opened)
            return False
        self._file = opened
        return True

    def holds(self) -> bool:
        """Once taken it stays ours."""
        return True

    def free(self) -> None:
        """Leave it to others."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class Once:
    """Tasks that run in the process that has the turn, as long as it has it."""

    def __init__(self, turn: Turn, tasks: Sequence[Single]) -> None:
        self._turn = turn
        self._tasks = tasks
        self._begun: list[Single] = []
        self._watching: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("suyuan")

    async def start(self) -> None:
        """Try to get the turn, now and then again and again."""
        await self._look()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """End the tasks, and leave the turn to others."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self._end()
        await asyncio.to_thread(self._turn.free)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001  the next look tries again
                self._log.exception("turn", error=type(error).__name__)

    async def _look(self) -> None:
        if self._begun:
            if not await asyncio.to_thread(self._turn.holds):
                await self._end()
        elif await asyncio.to_thread(self._turn.take):
            try:
                for task in self._tasks:
                    self._begun.append(task)
                    await task.start()
            except BaseException:
                await self._end()
                await asyncio.to_thread(self._turn.free)
                raise

    async def _end(self) -> None:
        while self._begun:
            await self._begun.pop().stop()


def turn_of_record(database: str, path: Path | None) -> Turn:
    """The turn among all processes, on whichever host, that serve one record."""
    return DatabaseTurn(database) if database else FolderTurn(path)
