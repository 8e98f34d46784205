"""The ground that every test stands on: nothing is left behind, nothing blocks the loop, real servers are at hand.

Warnings are errors by pyproject.toml; `tests/all.sh` runs with `-X dev`, so that a forgotten socket is one too.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from blockbuster import BlockBuster

from tests.servers.nginx import Nginx
from tests.servers.ports import open_sockets
from tests.servers.s3 import MotoServer
from tests.servers.tls import Authority, make_authority

ROOT = Path(__file__).resolve().parent.parent

# Where roco_async may block the loop, and why.
MAY_BLOCK = (
    ("roco_async/store/temps.py", {"_process_start"}),  # reads proc(5), which is no disk, once a store
    ("coverage/collector.py", {"lock_data"}),  # what counts lines has a lock of its own
)


def _is_async(request: pytest.FixtureRequest) -> bool:
    return inspect.iscoroutinefunction(getattr(request.node, "obj", None))


@pytest.fixture
async def _left_behind(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Compare tasks, sockets and temporary files in `tmp_path` with those from before the test."""
    tasks, sockets = asyncio.all_tasks(), open_sockets()
    yield
    deadline = time.monotonic() + 1
    while True:
        left = {
            "tasks": sorted(map(repr, asyncio.all_tasks() - tasks - {asyncio.current_task()})),
            "sockets": sorted(open_sockets() - sockets),
        }
        if not any(left.values()) or time.monotonic() > deadline:
            break
        await asyncio.sleep(0.005)  # a closed transport gives its socket back in a later turn of the loop
    folder = request.node.funcargs.get("tmp_path")
    names = (os.path.join(at, name) for at, _, files in os.walk(folder or os.devnull) for name in files)
    left["temporary files"] = sorted(name for name in names if name.endswith(".part"))
    assert not any(left.values()), f"left behind: { {what: found for what, found in left.items() if found} }"


@pytest.fixture(autouse=True)
def _leaves_nothing(request: pytest.FixtureRequest) -> None:
    """Hold every async test to leaving no task, socket or temporary file; it is set up first, so it looks last."""
    if _is_async(request):
        request.getfixturevalue("_left_behind")


@pytest.fixture(autouse=True)
def _blocks_nothing(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a blocking call that roco_async makes inside the loop raise.

    Calls made by tests and by other libraries on their own are let through: only stacks with our code count.
    """
    if not _is_async(request):
        yield
        return
    blockbuster = BlockBuster("roco_async")
    for function in blockbuster.functions.values():
        for file, names in MAY_BLOCK:
            function.can_block_in(file, names)
    blockbuster.activate()
    try:
        yield
    finally:
        blockbuster.deactivate()


@pytest.fixture(scope="session")
def roco_data() -> Path:
    """The real annotations: `$ROCO_DATA`, else the shared copy beside the repository, else a skip."""
    named = os.environ.get("ROCO_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "roco" / "data"
    if not folder.is_dir():
        pytest.skip(f"no ROCO annotations at {folder}; ROCO_DATA names another folder")
    return folder


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority and a certificate of 127.0.0.1."""
    return make_authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def moto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoServer]:
    """moto's S3; each test makes its own bucket in it."""
    with MotoServer(tmp_path_factory.mktemp("moto")) as server:
        yield server


@pytest.fixture
def serve_nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Nginx]]:
    """Start nginx on a folder: `serve_nginx(folder, etags=…)`, with Nginx's keywords; it stops after the test."""
    numbers = count()
    with contextlib.ExitStack() as stack:

        def serve(folder: Path, **options: object) -> Nginx:
            work = tmp_path_factory.mktemp("nginx") / str(next(numbers))
            return stack.enter_context(Nginx(folder, work, **options))  # type: ignore[arg-type]

        yield serve
