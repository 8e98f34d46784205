"""Starting a server process on a free port of 127.0.0.1, stopping it, and seeing which sockets this process has."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def free_port() -> int:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port: int = place.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def started(
    command: Callable[[int], Sequence[str]], log: Path, patience: float = 20
) -> tuple[subprocess.Popen[bytes], int]:
    """Start `command(port)` and wait until it accepts connections.

    Another program may take the free port before this one has it; then another port is tried.

    Raises:
        RuntimeError: it did not come up; the message has its log.
    """
    for _ in range(5):
        port = free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(command(port), stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        deadline = time.monotonic() + patience
        while process.poll() is None:
            if _answers(port):
                return process, port
            if time.monotonic() > deadline:
                stop(process)
                break
            time.sleep(0.01)  # a foreign process: there is no event for "listening"
    raise RuntimeError(f"{command(0)[0]} did not start:\n{log.read_text(errors='replace')}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the process: politely, then not."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def open_sockets() -> set[str]:
    """Return the inodes of this process's sockets, where the system tells (Linux)."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for descriptor in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now
                found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return {link for link in found if link.startswith("socket:")}
