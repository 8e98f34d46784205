"""The command line: a guest that comes in by the library's public door.

`arguments.py` reads the words, each verb is carried out by the function of its name in the room of its name,
`interrupts.py` hears signals, `words.py` is what a person reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module

from ..errors import AnnotationsUnavailable, DiskRefused, UsageError
from .arguments import Command, parse
from .interrupts import Interrupted
from .words import DISK, TEMPORARY, USAGE, say, usage_faults


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Returns:
        0 all there and verified; 2 bad usage or input; 3 only permanent losses; 4 temporary failures remain; 5 the disk
        refused; 130 interrupted (143 by SIGTERM, 129 by SIGHUP).
    """
    words = list(sys.argv[1:] if argv is None else argv)
    _open_standard_streams()
    try:
        return _carry_out(words)
    finally:
        _leave_no_broken_pipe()


def _carry_out(words: Sequence[str]) -> int:
    try:
        command = parse(words)
        logging.basicConfig(stream=sys.stderr, format="%(message)s", level=_level(command))
        return asyncio.run(_verb(command.verb)(command))
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
    except Interrupted as interrupted:
        return interrupted.code


def _verb(name: str) -> Callable[[Command], Coroutine[None, None, int]]:
    """Import what a verb needs, before there is a loop that would wait for it."""
    verb: Callable[[Command], Coroutine[None, None, int]] = getattr(import_module(f".{name}", __package__), name)
    return verb


def _level(command: Command) -> int:
    return logging.ERROR if command.quiet else logging.DEBUG if command.verbose > 1 else logging.WARNING


def _open_standard_streams() -> None:
    """Give a command that was started with closed streams (`>&-`, some daemons) somewhere to write.

    Else the first sockets would get the descriptors 0 to 2, and a stray word for a person would go to a server.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", closefd=False))  # noqa: SIM115 - for good


def _leave_no_broken_pipe() -> None:
    """Let the interpreter's last flush meet no reader that left: it would print a traceback over nothing."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                sink = os.open(os.devnull, os.O_WRONLY)
                os.dup2(sink, stream.fileno())
                os.close(sink)
