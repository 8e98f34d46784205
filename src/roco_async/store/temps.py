"""Temporary names: they tell host, process and time, so that a later run knows whose they are and whether it lives.

A run removes those of dead processes of its own host, and those of other hosts a day after their last change.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import time
from typing import Final

from .lookup import size_of

_DAY: Final = 86_400.0

_START: Final = ".roco-"


def _room() -> str:
    """Tell the process numbers of two containers apart that share a machine's name (pid_namespaces(7))."""
    try:
        return f"-{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return ""


_ROOM: Final = _room()
_NAME = re.compile(r"\.roco-(?P<host>.+)-(?P<pid>\d+)-(?P<time>\d+)(?:-s(?P<start>\d+))?-[0-9a-f]+-\d+\.part")


def scan(folder: str) -> dict[str, int]:
    """Return name → size of the files in a folder, and remove what dead runs left there; blocks.

    Removed are temporary files of dead processes of this host, and of other hosts a day after their last change.

    Raises:
        OSError: the folder is there and cannot be read.
    """
    sizes: dict[str, int] = {}
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return sizes
    with entries:
        for entry in entries:
            name = entry.name
            if name.startswith(_START) and (temp := _NAME.fullmatch(name)):
                with contextlib.suppress(OSError):
                    if _is_left(entry, temp):
                        os.unlink(entry.path)
                continue
            if (size := size_of(entry)) is not None:
                sizes[name] = size
    return sizes


def sweep(folder: str) -> None:
    """Remove the temporary folders in a folder that dead runs left there; blocks."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            temp = _NAME.fullmatch(entry.name)
            if temp and entry.is_dir(follow_symlinks=False) and _is_left(entry, temp):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: os.DirEntry[str], temp: re.Match[str]) -> bool:
    if temp["host"] == host():
        return not _is_alive(int(temp["pid"]), int(temp["time"]), temp["start"])
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > _DAY


def _is_alive(pid: int, named_at: int, start: str | None) -> bool:
    """Whether the process that made a temporary name still lives; a later process with its number does not count.

    Args:
        pid: its number.
        named_at: seconds since 1970 by the clock as it then went.
        start: in ticks since the machine began, which no clock moves; None where the system did not say.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    ticks = _process_start(pid)
    if ticks is None:
        return True
    if start is not None:
        return ticks == int(start)
    try:
        with open("/proc/stat", "rb") as file:
            booted = next(int(line.split()[1]) for line in file if line.startswith(b"btime"))
    except (OSError, ValueError, StopIteration):
        return True
    return booted + ticks / os.sysconf("SC_CLK_TCK") <= named_at + 2


def _process_start(pid: int) -> int | None:
    """Ticks from the machine's start to a process's (proc(5)); None where the system does not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


def host() -> str:
    """This machine's name, as a file name can have it, and the room in which its processes have their numbers."""
    name = "".join(letter if letter.isalnum() or letter == "." else "-" for letter in socket.gethostname())[:64]
    return name + _ROOM


def prefix() -> str:
    """Return how the names of one store begin; no other store's, in whatever process, begin so."""
    start = _process_start(os.getpid())
    began = "" if start is None else f"-s{start}"
    return f"{_START}{host()}-{os.getpid()}-{int(time.time())}{began}-{os.urandom(3).hex()}-"
