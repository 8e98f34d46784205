"""Signals: the first finishes what is in flight, the second stops at once."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from types import TracebackType
from typing import Final, Protocol, Self

from .streams import hurry
from .words import say

_GRACE: Final = 4.0
"""Seconds for what is in flight after the first signal."""

_LAST_RESORT: Final = 1.0
"""Seconds for the stop itself: a disk that hangs holds a thread, and nothing but the process's end lets go of it."""


class Interrupted(Exception):
    """A signal ended the command; `code` is what the shell expects of that."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(code)


class Drains(Protocol):
    """What a first signal brings to its end."""

    def drain(self) -> None:
        """Take no new work; what is under way is finished."""


class Interrupts:
    """Hears SIGINT, SIGTERM and SIGHUP for the block; only the command line does this, never the library.

    SIGHUP is left alone where it was ignored at the start, as nohup arranges.
    """

    def __init__(self) -> None:
        self.code: int | None = None
        self._run: Drains | None = None
        self._task = asyncio.current_task()
        self._timers: list[asyncio.TimerHandle] = []
        self._heard: list[signal.Signals] = []
        self._unanswered: float | None = None

    def watch(self, run: Drains) -> None:
        """Drain this run at the first signal."""
        self._run = run

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            loop.add_signal_handler(number, self._on_signal, number)
            signal.signal(number, self._on_interruption)  # beside the loop's own ear, which is a descriptor
            self._heard.append(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in self._heard:
            loop.remove_signal_handler(number)
            if self.code is not None:
                signal.signal(number, signal.SIG_IGN)  # the code of the first is settled; the account is still told
        for timer in self._timers:
            timer.cancel()
        if self.code is not None:
            loop.call_later(_LAST_RESORT, os._exit, self.code)  # asyncio.run waits for threads, which may hang
        if self.code is not None and isinstance(error, asyncio.CancelledError):
            self.stopped()
            raise Interrupted(self.code) from None

    def stopped(self) -> None:
        """The cancellation that a signal asked for has been heard: the command goes on to its summary."""
        assert self._task is not None
        self._task.uncancel()

    def _on_interruption(self, number: int, _: object) -> None:
        """End the process where the loop has not answered an earlier signal: what nobody reads may hold it."""
        now = time.monotonic()
        if self._unanswered is None:
            self._unanswered = now
        elif now - self._unanswered > _LAST_RESORT:
            os._exit(self.code or 128 + number)

    def _on_signal(self, number: signal.Signals) -> None:
        assert self._task is not None
        self._unanswered = None
        loop = asyncio.get_running_loop()
        if self.code is None:
            self.code = 128 + number
            hurry()
            if self._run is not None:
                say("Stopping: what is in flight is finished; once more to stop at once.")
                self._run.drain()
                self._timers.append(loop.call_later(_GRACE, self._stop))
                return
        self._stop()

    def _stop(self) -> None:
        assert self._task is not None
        assert self.code is not None
        self._task.cancel()
        self._timers.append(asyncio.get_running_loop().call_later(_LAST_RESORT, os._exit, self.code))
