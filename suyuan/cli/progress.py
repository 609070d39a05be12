"""A progress bar with rate and time left, on a terminal; silence elsewhere."""

import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self


class Progress:
    """One bar over the bytes of some files; it also counts records for the rate."""

    def __init__(self, files: Iterable[Path], *, quiet: bool = False) -> None:
        self.total = sum(path.stat().st_size for path in files if path.is_file())
        self.records = 0
        self._bar: Any = None
        self._task: Any = None
        self._quiet = quiet or not sys.stderr.isatty()

    def __enter__(self) -> Self:
        if not self._quiet:
            from rich.console import Console  # noqa: PLC0415  costs more than a small file
            from rich.progress import BarColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415
            from rich.progress import Progress as Bar  # noqa: PLC0415

            columns = (
                "[progress.percentage]{task.percentage:>3.0f}%",
                BarColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._bar.start()
            self._task = self._bar.add_task("", total=self.total or None, rate="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, size: int, records: int) -> None:
        """So many bytes and records more are done."""
        self.records += records
        if self._bar is not None:
            task = self._bar.tasks[0]
            rate = self.records / task.elapsed if task.elapsed else 0
            self._bar.update(self._task, advance=size, rate=f"{self.records:,} records, {rate:,.0f}/s")
