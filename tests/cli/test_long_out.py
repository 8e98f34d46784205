"""An output folder that no file system has a name for, and one that cannot be looked at."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.scripted import ScriptedServer

from .program import Program, calm

Serve = Callable[..., ScriptedServer]


@pytest.mark.parametrize("verb", ["fetch", "fetch --dry-run", "verify", "retry"])
@pytest.mark.parametrize("out", ["x" * 300, "/".join(["x" * 200] * 30)], ids=["name", "path"])
def test_too_long(verb: str, out: str, program: Program, bucket: Serve) -> None:
    """`--out` with a name of 300 letters, or a path of 6,000: 5 and a sentence, before any request, of each verb."""
    server = bucket()
    done = calm(program.run(f"{verb} test/radiology --data notes --out {out}"))
    assert (done.code, server.connections) == (5, 0)
    assert "too long" in done.err
