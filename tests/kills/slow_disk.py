"""Runs the command line on a disk that takes little at a time, so that a kill finds it in the middle of a write.

Run by its path, as another process; `write` taking a part is what POSIX allows it, and pauses are what disks do.
"""

from __future__ import annotations

import builtins
import io
import os
import stat
import sys
import time
from collections.abc import Callable
from typing import Any, Final

PIECE: Final = 150
"""Bytes of one write: less than a journal's line, so that lines are torn."""

PAUSE: Final = 0.0007


def _slow_down() -> None:
    write, opened = os.write, builtins.open

    def write_little(descriptor: int, data: Any) -> int:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return write(descriptor, data)
        time.sleep(PAUSE)
        return write(descriptor, memoryview(data)[: max(PIECE, len(data) // 8)])

    def open_slowly(file: Any, mode: str = "r", *more: Any, **others: Any) -> Any:
        stream = opened(file, mode, *more, **others)
        if not isinstance(file, int) and isinstance(stream, io.FileIO | io.TextIOWrapper) and mode != "r":
            time.sleep(PAUSE)
        return stream

    def late(function: Callable[..., None]) -> Callable[..., None]:
        def wait_first(*words: Any, **others: Any) -> None:
            time.sleep(PAUSE)
            function(*words, **others)

        return wait_first

    os.write = write_little
    builtins.open = open_slowly
    os.replace, os.unlink = late(os.replace), late(os.unlink)


if __name__ == "__main__":
    from roco_async.cli import main

    _slow_down()
    sys.exit(main())
