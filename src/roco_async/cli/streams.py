"""The standard streams of a command: there whatever it was started with, and stderr never a wait for its reader."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from ..progress import Drawer
    from ..records import Statistics

_HELD: Final = 16 << 20
"""Bytes for a reader that is behind; a list of all images' failures is about as much."""

_PATIENCE: Final = 5.0
"""Seconds without a byte taken, once there is nothing else to do, after which a reader is left."""

_HURRY: Final = 0.5
"""Seconds in all that a reader gets once a signal has asked for the end."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def open_standard_streams() -> None:
    """Give a command that was started with closed streams (`>&-`, some daemons) somewhere to write, in any encoding.

    Else the first sockets would get the descriptors 0 to 2, and a stray word for a person would go to a server.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - for good
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # a path that it cannot encode would cost the whole account


def leave_no_broken_pipe() -> None:
    """Let the interpreter's last flush meet no reader that left: it would print a traceback over nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, stream.fileno())
                os.close(sink)


@contextmanager
def patient_stderr() -> Iterator[None]:
    """Let what is written to stderr wait for its reader in a thread, for the block; what is left at its end is written
    as long as the reader takes it."""
    inner = sys.stderr
    try:
        inner.fileno()
    except (OSError, ValueError):  # no file: a test's or a notebook's own
        yield
        return
    sys.stderr = outer = Patient(inner)
    try:
        yield
    finally:
        outer.drain()
        sys.stderr = inner


def settle() -> None:
    """Let stderr's reader have its words before those that follow on stdout."""
    if isinstance(sys.stderr, Patient):
        sys.stderr.drain()


def hurry() -> None:
    """Let no reader of stderr hold a command that a signal has asked to end."""
    if isinstance(sys.stderr, Patient):
        sys.stderr.hurry()


class Patient(io.TextIOBase):
    """A stream whose writes end at once: a daemon thread hands them to a reader that may never read.

    A run must go on while its terminal is stopped (Ctrl-S) or nobody reads its pipe. Of what is too much the oldest is
    dropped, as the last words are the account.

    Args:
        inner: what stands for the descriptor; it is flushed first and then not written to.
    """

    def __init__(self, inner: TextIO) -> None:
        inner.flush()
        self._descriptor = inner.fileno()
        self._encoding = inner.encoding
        self._is_terminal = inner.isatty()
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._taken = 0
        self._stopped_at = -1
        self._hurries = False
        self._gone: OSError | None = None
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    @property
    def is_behind(self) -> bool:
        """Whether something waits for a reader that is there."""
        return self._held > 0 and self._gone is None

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return self._is_terminal

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        """Take text for the reader.

        Raises:
            OSError: the reader has left.
        """
        written = text.encode(self._encoding, "backslashreplace")
        with self._changed:
            if self._gone is not None:
                raise OSError(*self._gone.args)  # a new one: its traceback grows with each raise
            if self._thread is None:
                thread = threading.Thread(target=self._hand_over, name="stderr", daemon=True)
                thread.start()
                self._thread = thread
            self._waiting.append(written)
            self._held += len(written)
            while self._held > _HELD and len(self._waiting) > 1:
                self._held -= len(self._waiting.popleft())
            self._changed.notify_all()
        return len(text)

    def drain(self) -> None:
        """Wait until all is read, the reader has left, or it has taken nothing for five seconds; those only once."""
        ends = time.monotonic() + (_HURRY if self._hurries else inf)
        with self._changed:
            while self.is_behind and self._taken != self._stopped_at and (left := ends - time.monotonic()) > 0:
                if not self._changed.wait(min(_PATIENCE, left)):
                    self._stopped_at = self._taken

    def hurry(self) -> None:
        """Wait no longer than half a second from now on, however much a slow reader takes meanwhile."""
        self._hurries = True

    def _hand_over(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                piece = self._waiting.popleft()
            try:
                self._write(piece)
            except OSError as error:
                with self._changed:
                    self._gone = error
                    self._changed.notify_all()
                return

    def _write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            try:
                count = os.write(self._descriptor, view)
            except BlockingIOError:  # somebody else with this terminal wants no waits
                select.select([], [self._descriptor], [])
                continue
            except OSError as error:
                if error.errno not in _FULL:
                    raise
                count = len(view)  # a log's disk is full: these words are lost, later ones may find room again
            view = view[count:]
            with self._changed:
                self._held -= count
                self._taken += count
                self._changed.notify_all()


class Unhurried:
    """A Drawer that leaves a frame out where the reader has not read the last one.

    Args:
        inner: draws to `stream`.
        stream: what tells whether its reader is behind.
    """

    def __init__(self, inner: Drawer, stream: Patient) -> None:
        self._inner = inner
        self._stream = stream

    def draw(self, now: Statistics) -> None:
        if not self._stream.is_behind:
            self._inner.draw(now)

    def close(self, last: Statistics) -> None:
        self._inner.close(last)
