"""The command line: a guest that comes in by the library's public door.

`arguments.py` reads the words, each verb is carried out by the function of its name in the room of its name,
`interrupts.py` hears signals, `words.py` is what a person reads, `streams.py` is how it reaches one.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from typing import Final

from ..errors import AnnotationsUnavailable, DiskRefused, UsageError
from .arguments import Command, parse
from .streams import leave_no_broken_pipe, open_standard_streams, patient_stderr
from .words import DISK, TEMPORARY, USAGE, say, usage_faults

_PATIENCE: Final = 1.0
"""Seconds for our threads to end once everything is told; they have nothing left to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Returns:
        0 all there and verified; 2 bad usage or input; 3 only permanent losses; 4 temporary failures remain; 5 the disk
        refused; 130 interrupted (143 by SIGTERM, 129 by SIGHUP).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    open_standard_streams()
    try:
        with patient_stderr():
            code = _carry_out(words)
    finally:
        leave_no_broken_pipe()
    _wait_for_no_dead_disk(code)
    return code


def _carry_out(words: Sequence[str]) -> int:
    try:
        return _run(parse(words))
    except UsageError as error:
        for issue in usage_faults(error):
            say(f"roco_async: {issue}")
        return USAGE
    except AnnotationsUnavailable as error:
        say(f"roco_async: {error}")
        return TEMPORARY
    except DiskRefused as error:
        say(f"roco_async: {error}")
        return DISK


def _run(command: Command) -> int:
    import asyncio  # here, as it is a third of what `--help` would wait for

    from .interrupts import Interrupted

    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=_level(command))
    verb = _verb(command.verb)
    _spare_the_collector()
    try:
        return asyncio.run(verb(command))
    except Interrupted as interrupted:
        return interrupted.code


def _verb(name: str) -> Callable[[Command], Coroutine[None, None, int]]:
    """Import what a verb needs, before there is a loop that would wait for it."""
    verb: Callable[[Command], Coroutine[None, None, int]] = getattr(import_module(f".{name}", __package__), name)
    return verb


def _spare_the_collector() -> None:
    """Let the garbage collector look for cycles less often: there are next to none, and looking took 5 % of a run."""
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


def _level(command: Command) -> int:
    return logging.ERROR if command.quiet else logging.DEBUG if command.verbose > 1 else logging.WARNING


def _wait_for_no_dead_disk(code: int) -> None:
    """End the process at once where a thread of ours hangs in a file system: the interpreter would wait for it."""
    deadline = time.monotonic() + _PATIENCE
    for thread in threading.enumerate():
        if thread.name.startswith("roco_async"):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                os._exit(code)
