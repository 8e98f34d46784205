"""`retry`: what failed for now is asked for again, and nothing else is."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.cancel.stage import pictures
from tests.servers.faults import Fault, status
from tests.servers.scripted import ScriptedServer

from .damage import WHERE, image
from .program import Program, calm

Serve = Callable[..., ScriptedServer]
KEYS = {"requested", "fetched", "skipped", "failed", "bytes", "elapsed", "reasons"}


@pytest.fixture
def after_a_bad_night(program: Program, bucket: Serve) -> ScriptedServer:
    """15 images came, 1 is lost for good, 2 failed for now, 2 were never tried; the server is well again."""
    server = bucket(
        Fault(status(404), on="PMC7.1/*"), Fault(status(500), on="PMC8.1/*"), Fault(status(403), on="PMC9*")
    )
    assert program.run(f"fetch {WHERE} --limit 18").code == 4
    server.script.clear()
    server.requests.clear()
    return server


def test_temporary_failures_only(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """`retry` asks for the two that failed for now, not for the lost one and not for the two that were never tried."""
    done = calm(program.run(f"retry {WHERE} --json"))
    assert done.code == 0
    assert done.json.keys() == KEYS
    assert (done.json["requested"], done.json["fetched"], done.json["reasons"]) == (2, 2, {})
    assert sorted(one.key for one in after_a_bad_night.requests) == ["PMC8.1/a.jpg", "PMC9.1/a.jpg"]
    expect = pictures(20, 3000)
    assert all(image(program, number).read_bytes() == expect[f"PMC{number}.1/a.jpg"] for number in (8, 9))


def test_nothing_to_do(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """A second `retry` says that there is nothing to do, in words and in JSON, makes no request, and exits 0."""
    assert program.run(f"retry {WHERE}").code == 0
    after_a_bad_night.requests.clear()
    done = calm(program.run(f"retry {WHERE}"))
    assert (done.code, after_a_bad_night.requests) == (0, [])
    assert "Nothing to retry" in done.out
    done = calm(program.run(f"retry {WHERE} --json"))
    assert (done.code, set(done.json), done.json["requested"]) == (0, KEYS, 0)
    assert program.run(f"retry {WHERE} -q").out == ""


def test_it_fails_again(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """What fails again is summed up as a fetch does, with the command to go on, and the exit code is 4."""
    after_a_bad_night.script.add(Fault(status(500), on="PMC8.1/*"))
    done = calm(program.run(f"retry {WHERE}"))
    assert done.code == 4
    assert "1 of 2 images are there" in done.out
    assert "SERVER_ERROR" in done.out
    assert "roco_async retry test/radiology" in done.out


def test_lost_for_good_meanwhile(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """What turns out to be lost is no temporary failure any more: 3, and nothing to do after that."""
    after_a_bad_night.script.add(Fault(status(404), on="PMC[89].1/*"))
    assert calm(program.run(f"retry {WHERE} --json")).code == 3
    assert calm(program.run(f"retry {WHERE} --json")).json["requested"] == 0


def test_damage_that_verify_found(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """A file that `verify` found damaged is a temporary failure: `retry` mends it."""
    os.truncate(image(program, 1), 1000)
    assert program.run(f"verify {WHERE}").code == 4
    done = calm(program.run(f"retry {WHERE} --json"))
    assert (done.code, done.json["fetched"]) == (0, 3)
    assert image(program, 1).read_bytes() == pictures(20, 3000)["PMC1.1/a.jpg"]


def test_put_there_by_hand(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """A good file that somebody put in the place of a failed one is skipped, unasked."""
    image(program, 8).write_bytes(pictures(20, 3000)["PMC8.1/a.jpg"])
    done = calm(program.run(f"retry {WHERE} --json"))
    assert (done.code, done.json["fetched"], done.json["skipped"]) == (0, 1, 1)
    assert [one.key for one in after_a_bad_night.requests] == ["PMC9.1/a.jpg"]


def test_dry_run_and_limit(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """`--dry-run` counts the two and asks for nothing; `--limit 1` takes the first."""
    done = calm(program.run(f"retry {WHERE} --dry-run --json"))
    assert (done.code, done.json["images"], done.json["to_fetch"], after_a_bad_night.requests) == (0, 2, 2, [])
    assert "2 of test/radiology" in calm(program.run(f"retry {WHERE} --dry-run")).out
    assert calm(program.run(f"retry {WHERE} --limit 1 --json")).json["requested"] == 1
    assert [one.key for one in after_a_bad_night.requests] == ["PMC8.1/a.jpg"]


def test_another_selection(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """A selection that is not there is bad input, as for a fetch: 2, before any request."""
    done = calm(program.run("retry train --data notes --out out"))
    assert (done.code, after_a_bad_night.requests) == (2, [])


def test_without_a_journal(program: Program, bucket: Serve) -> None:
    """Before any run there is nothing to retry, and no output folder is made."""
    server = bucket()
    done = calm(program.run(f"retry {WHERE}"))
    assert (done.code, server.requests) == (0, [])
    assert not (program.folder / "out").exists()
