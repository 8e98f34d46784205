"""Draws a run's `Statistics`: a bar in a terminal, plain lines elsewhere, a line in a notebook, or nothing.

The tick goes on in every mode, silent too: in a notebook an interrupt is heard only when the loop next wakes.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from .records import Statistics

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

TICK: Final = 0.25
_LINE_EVERY: Final = 10.0
_WINDOW: Final = 8.0


class Drawer(Protocol):
    """Draws snapshots as they come."""

    def draw(self, now: Statistics) -> None: ...

    def close(self, last: Statistics) -> None: ...


@asynccontextmanager
async def drawn(statistics: Callable[[], Statistics], drawer: Drawer) -> AsyncIterator[None]:
    """Draw every quarter of a second while the block runs; a reader that left costs nothing but the drawing.

    Example:
        >>> async def watch(run, drawer):
        ...     async with drawn(run.statistics, drawer):
        ...         return [outcome async for outcome in run]
    """

    async def tick() -> None:
        while True:
            drawer.draw(statistics())
            await asyncio.sleep(TICK)

    ticking = asyncio.create_task(tick(), name="roco_async progress")
    try:
        yield
    finally:
        ticking.cancel()
        await asyncio.wait([ticking])
        with contextlib.suppress(OSError, ValueError):
            drawer.close(statistics())


class Rates:
    """Images and bytes a second over the last seconds, and how long the rest takes.

    Args:
        total: images in all, None where nobody knows.
    """

    def __init__(self, total: int | None) -> None:
        self.total = total
        self._seen: deque[tuple[float, int, int]] = deque()

    def note(self, now: Statistics) -> None:
        self._seen.append((now.elapsed, now.fetched + now.failed, now.bytes))
        while len(self._seen) > 2 and now.elapsed - self._seen[0][0] > _WINDOW:
            self._seen.popleft()

    @property
    def images(self) -> float:
        return self._slope(1)

    @property
    def bytes(self) -> float:
        return self._slope(2)

    def _slope(self, column: int) -> float:
        if len(self._seen) < 2 or self._seen[-1][0] <= self._seen[0][0]:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        return (last[column] - first[column]) / (last[0] - first[0])

    def text(self, now: Statistics) -> str:
        """One line: done, images/s, MB/s, ETA, failures, connections.

        Example:
            >>> Rates(10).text(Statistics(fetched=5, in_flight=2))
            '5/10 images  0 images/s  0.0 MB/s  2 connections'
        """
        done = now.fetched + now.skipped + now.failed
        parts = [f"{done:,}/{self.total:,} images" if self.total is not None else f"{done:,} images"]
        parts += [f"{self.images:,.0f} images/s", f"{self.bytes / 1e6:.1f} MB/s"]
        if self.total is not None and self.images > 0 and done < self.total:
            parts.append(f"ETA {duration((self.total - done) / self.images)}")
        if now.failed:
            parts.append(f"{now.failed:,} failed")
        if now.in_flight or now.limit:  # reading the disk takes none
            parts.append(f"{now.in_flight} connection{'' if now.in_flight == 1 else 's'}")
        return "  ".join(parts)


def duration(seconds: float) -> str:
    """Return seconds as a clock shows them.

    Example:
        >>> duration(3725), duration(65), duration(4.2)
        ('1:02:05', '1:05', '0:04')
    """
    hours, rest = divmod(int(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"


class Silent:
    """Draws nothing."""

    def draw(self, now: Statistics) -> None:
        pass

    def close(self, last: Statistics) -> None:
        pass


class Lines:
    """A plain line every ten seconds, for logs."""

    def __init__(self, total: int | None, stream: IO[str]) -> None:
        self._rates = Rates(total)
        self._stream = stream
        self._next = _LINE_EVERY

    def draw(self, now: Statistics) -> None:
        self._rates.note(now)
        if now.elapsed >= self._next:
            self._next = now.elapsed + _LINE_EVERY
            with contextlib.suppress(OSError, ValueError):  # whoever read it has left
                self._stream.write(self._rates.text(now) + "\n")
                self._stream.flush()

    def close(self, last: Statistics) -> None:
        pass


class Bar:
    """A bar in a terminal, by rich."""

    def __init__(self, total: int | None, stream: IO[str]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        class Terminal(Console):
            def on_broken_pipe(self) -> None:
                raise BrokenPipeError  # rich would end the process, and turn stdout to /dev/null

        self._rates = Rates(total)
        self._stream = stream
        self._progress: Progress | None = Progress(
            BarColumn(bar_width=None),
            TextColumn("{task.description}"),
            console=Terminal(file=stream),
            auto_refresh=False,
            expand=True,
        )
        self._task: TaskID = self._progress.add_task("", total=total)
        self._begun = False

    def draw(self, now: Statistics) -> None:
        self._rates.note(now)
        if self._progress is None:
            return
        try:
            if not self._begun:
                self._begun = True
                self._progress.start()
            done = now.fetched + now.skipped + now.failed
            self._progress.update(self._task, completed=done, description=self._rates.text(now))
            self._progress.refresh()
        except (OSError, ValueError):  # the terminal is gone
            progress, self._progress = self._progress, None
            with contextlib.suppress(OSError, ValueError):
                progress.stop()  # it gives sys.stdout and sys.stderr back

    def close(self, last: Statistics) -> None:
        self.draw(last)
        if self._progress is not None:
            self._progress.stop()


class Notebook:
    """One line under the cell that stays in the saved file; widgets would not."""

    def __init__(self, total: int | None) -> None:
        from IPython.display import display

        self._rates = Rates(total)
        self._handle: Any = display(_Plain("…"), display_id=True)

    def draw(self, now: Statistics) -> None:
        self._rates.note(now)
        self._handle.update(_Plain(self._rates.text(now)))

    def close(self, last: Statistics) -> None:
        self.draw(last)


class _Plain:
    """Text that a notebook shows without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def for_notebook(total: int | None) -> Drawer:
    """Return a drawer for the notebook that this process is the kernel of, a silent one elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return Notebook(total) if getattr(shell, "kernel", None) is not None else Silent()


def for_stream(total: int | None, stream: IO[str]) -> Drawer:
    """Return a bar for a terminal, lines for anything else."""
    return Bar(total, stream) if stream.isatty() else Lines(total, stream)
