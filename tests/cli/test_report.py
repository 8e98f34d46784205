"""`report`: what is missing and why, without a request and without reading a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.servers.faults import Fault, status
from tests.servers.scripted import ScriptedServer

from .damage import WHERE, image
from .program import Done, Program, calm

Serve = Callable[..., ScriptedServer]


def report(program: Program, words: str = "", where: str = WHERE) -> Done:
    """Run `report`, which knows no flag of a transfer."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "roco_async", "report", *where.split(), *words.split()]
    return calm(
        program.wait(
            subprocess.Popen(
                command, cwd=program.folder, env=program.settings, text=True, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    )  # fmt: skip


@pytest.fixture
def after_a_bad_night(program: Program, bucket: Serve) -> ScriptedServer:
    """15 images came, 2 are lost for good, 1 failed for now, 2 were never tried."""
    server = bucket(Fault(status(404), on="PMC[67].1/*"), Fault(status(500), on="PMC8.1/*"))
    assert program.run(f"fetch {WHERE} --limit 18").code == 4
    server.requests.clear()
    return server


def test_in_words(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """Grouped by reason, permanent first, each with its meaning, its count and one line of ids to paste: 4."""
    done = report(program)
    assert (done.code, done.err, after_a_bad_night.requests) == (4, "", [])
    lines = done.out.splitlines()
    assert lines[0] == "15 of 20 images are there; 5 are missing:"
    assert lines[1].startswith("  2 for good, NOT_FOUND: no version of the article")
    assert lines[2] == "    ROCO_00006 ROCO_00007"
    assert lines[3].startswith("  2 for now, NEVER_TRIED: ")
    assert lines[4] == "    ROCO_00019 ROCO_00020"
    assert lines[5].startswith("  1 for now, SERVER_ERROR: ")
    assert lines[6] == "    ROCO_00008"
    assert len(lines) == 7


def test_json(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """`--json`: one line with requested, there, missing, and count, permanent and ids of each reason."""
    done = report(program, "--json")
    assert done.code == 4
    assert done.json == {
        "requested": 20, "there": 15, "missing": 5,
        "reasons": {
            "NOT_FOUND": {"count": 2, "permanent": True, "ids": ["ROCO_00006", "ROCO_00007"]},
            "NEVER_TRIED": {"count": 2, "permanent": False, "ids": ["ROCO_00019", "ROCO_00020"]},
            "SERVER_ERROR": {"count": 1, "permanent": False, "ids": ["ROCO_00008"]},
        },
    }  # fmt: skip
    assert next(iter(done.json["reasons"])) == "NOT_FOUND"


def test_ids_in_a_file(program: Program, after_a_bad_night: ScriptedServer) -> None:
    """`--ids FILE`: one image a line with its reason, and no ids on stdout."""
    done = report(program, "--ids ids.tsv")
    assert done.code == 4
    assert "ROCO_" not in done.out
    assert "ids.tsv" in done.out
    lines = (program.folder / "ids.tsv").read_text().splitlines()
    assert lines[0] == "ROCO_00006\tNOT_FOUND"
    assert len(lines) == 5


@pytest.mark.parametrize("place", ["out", "no/such/folder/ids"])
def test_ids_that_cannot_be_written(place: str, program: Program, after_a_bad_night: ScriptedServer) -> None:
    """`--ids` of a folder, or in one that is not there: 5, in a sentence."""
    done = report(program, f"--ids {place}")
    assert done.code == 5
    assert "disk" in done.err


def test_all_there(program: Program, bucket: Serve) -> None:
    """Where all is there: 0, said in words, and not a byte with `-q`."""
    bucket()
    assert program.run(f"fetch {WHERE}").code == 0
    done = report(program)
    assert (done.code, done.out.startswith("All 20 images are there")) == (0, True)
    assert report(program, "--json").json == {"requested": 20, "there": 20, "missing": 0, "reasons": {}}
    assert report(program, "-q").out == ""


def test_permanent_losses_only(program: Program, bucket: Serve) -> None:
    """Where only permanent losses are missing: 3."""
    bucket(Fault(status(404), on="PMC7.1/*"))
    assert program.run(f"fetch {WHERE}").code == 3
    assert report(program).code == 3


def test_deleted_and_damaged(program: Program, bucket: Serve) -> None:
    """A deleted file is GONE; one of another size is DAMAGED at once, one with a flipped byte once `verify` saw it."""
    bucket()
    assert program.run(f"fetch {WHERE}").code == 0
    image(program, 1).unlink()
    os.truncate(image(program, 2), 1000)
    content = image(program, 3).read_bytes()
    image(program, 3).write_bytes(content[:1500] + bytes([content[1500] ^ 1]) + content[1501:])
    reasons = report(program, "--json").json["reasons"]
    assert {name: entry["ids"] for name, entry in reasons.items()} == {
        "DAMAGED": ["ROCO_00002"],
        "GONE": ["ROCO_00001"],
    }
    assert program.run(f"verify {WHERE}").code == 4
    reasons = report(program, "--json").json["reasons"]
    assert reasons["DAMAGED"]["ids"] == ["ROCO_00002", "ROCO_00003"]


def test_without_a_journal(program: Program, bucket: Serve) -> None:
    """Files without a journal are there; before any run all images are NEVER_TRIED, and nothing is made."""
    bucket()
    assert report(program, "--json").json["reasons"]["NEVER_TRIED"]["count"] == 20
    assert not (program.folder / "out").exists()
    assert program.run(f"fetch {WHERE}").code == 0
    shutil.rmtree(program.folder / "out/.roco")
    assert report(program, "--json").json["there"] == 20
    assert not (program.folder / "out/.roco").exists()


def test_without_annotations(program: Program) -> None:
    """Where no annotations are at hand none are fetched: 2, and the flag that names them is said."""
    done = report(program, where="test")
    assert done.code == 2
    assert "--data" in done.err


@pytest.mark.parametrize("words", ["--limit 3", "--cloud-url http://127.0.0.1:1/", "-n 3", "--no-progress", "-v"])
def test_flags_of_other_verbs(words: str, program: Program) -> None:
    """A flag that a report would not read is no flag of it: 2."""
    assert report(program, words).code == 2
