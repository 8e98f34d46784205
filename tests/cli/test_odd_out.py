"""An output folder that no file system has a name for, and one that the terminal has none for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.servers.faults import Fault, status
from tests.servers.scripted import ScriptedServer

from .program import Program, calm, environment

Serve = Callable[..., ScriptedServer]


@pytest.mark.parametrize("verb", ["fetch", "fetch --dry-run", "verify", "retry"])
@pytest.mark.parametrize("out", ["x" * 300, "/".join(["x" * 200] * 30)], ids=["name", "path"])
def test_too_long(verb: str, out: str, program: Program, bucket: Serve) -> None:
    """`--out` with a name of 300 letters, or a path of 6,000: 5 and a sentence, before any request, of each verb."""
    server = bucket()
    done = calm(program.run(f"{verb} test/radiology --data notes --out {out}"))
    assert (done.code, server.connections) == (5, 0)
    assert "too long" in done.err


def test_a_name_that_stdout_cannot_encode(program: Program, bucket: Serve) -> None:
    """Where stdout has no such letter the account shows its code, and is never lost over it."""
    bucket(Fault(status(404), on="PMC7.1/*"))
    with environment(program, {"PYTHONIOENCODING": "ascii"}) as there:
        done = calm(there.run("test/radiology --data notes --out Röntgen"))
    assert done.code == 3
    assert r"R\xf6ntgen" in done.out
