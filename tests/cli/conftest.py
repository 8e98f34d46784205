"""What a command needs: a folder with annotations, and a bucket in another thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cancel.stage import pictures, write_annotations
from tests.servers.faults import Fault
from tests.servers.scripted import ScriptedServer, in_thread

from .program import Program

COUNT = 20


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A folder with the annotations of 20 images of test/radiology in `notes`, and no server."""
    write_annotations(tmp_path / "notes", COUNT)
    (tmp_path / "home").mkdir()
    return Program(tmp_path)


@pytest.fixture
def bucket(program: Program) -> Iterator[Callable[..., ScriptedServer]]:
    """Serve the 20 images to the program, with faults: `bucket(Fault(...))`; `size=` and `count=` for others."""
    with contextlib.ExitStack() as stack:

        def serve(*faults: Fault, size: int = 3000, count: int = COUNT, **options: object) -> ScriptedServer:
            server = ScriptedServer(pictures(count, size), *faults, **options)  # type: ignore[arg-type]
            stack.enter_context(in_thread(server))
            program.base = server.base
            return server

        yield serve
