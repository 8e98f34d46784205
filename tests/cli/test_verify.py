"""`verify`: files broken for real, and what is said of them, noted of them, and done about them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cancel.stage import pictures, write_annotations
from tests.faults.stage import files_below, picture
from tests.servers.faults import Fault, Trickle, html_page, status
from tests.servers.scripted import ScriptedServer

from .damage import WHERE, account, flip, image, verify
from .program import Program, calm, wait_until

Serve = Callable[..., ScriptedServer]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")


@pytest.fixture
def fetched(program: Program, bucket: Serve) -> ScriptedServer:
    """All 20 images are there, and no request has been made since."""
    server = bucket()
    assert program.run(f"fetch {WHERE}").code == 0
    server.requests.clear()
    return server


def test_all_there(program: Program, fetched: ScriptedServer) -> None:
    """`verify` of what was fetched: 0, all verified, no request, no further journal, in words and in JSON."""
    done = verify(program, "--json")
    assert done.code == 0
    assert account(done) == {"requested": 20, "verified": 20}
    assert done.json["bytes"] == 60_000
    assert verify(program).out.startswith("All 20 images are there and verified (60.0 kB read")
    assert verify(program, "-q").out == ""
    assert fetched.requests == []
    assert len(list(program.folder.glob("out/.roco/journal/*"))) == 1


def test_broken_in_every_way(program: Program, fetched: ScriptedServer) -> None:
    """A flipped byte, a cut, an empty file, a page, one longer and one deleted are named, and nothing is removed."""
    flip(image(program, 1))
    os.truncate(image(program, 2), 1000)
    image(program, 3).write_bytes(b"")
    image(program, 4).write_bytes(b"<!DOCTYPE html><title>Log in</title>".ljust(3000))
    with image(program, 5).open("ab") as file:
        file.write(b"more")
    image(program, 6).unlink()
    (image(program, 1).parent / "notes.txt").write_text("mine")
    before = files_below(program.folder / "out")
    done = verify(program)
    assert done.code == 4
    assert "14 of 20 images are there and verified" in done.out
    for words in (
        "ROCO_00001: md5", "ROCO_00002: cut: 1,000 of 3,000 bytes", "ROCO_00003: empty", "ROCO_00004: a page of HTML",
        "ROCO_00005: 3,004 bytes where 3,000 are wanted", "GONE", "ROCO_00006", "test/radiology/images/notes.txt",
    ):  # fmt: skip
        assert words in done.out, words
    assert files_below(program.folder / "out") == before
    expect = {"requested": 20, "verified": 14, "damaged": 5, "missing": 1, "unknown": 1}
    assert account(verify(program, "--json")) == expect | {"reasons": {"DAMAGED": 5, "GONE": 1}}
    assert fetched.requests == []


def test_the_next_fetch_mends_it(program: Program, fetched: ScriptedServer) -> None:
    """A flipped byte escapes a fetch; after `verify` a fetch asks for that image, and for it alone."""
    flip(image(program, 7))
    assert program.run(f"fetch {WHERE}").code == 0
    assert fetched.requests == []
    assert verify(program).code == 4
    done = calm(program.run(f"fetch {WHERE} --json"))
    assert (done.code, [one.key for one in fetched.requests]) == (0, ["PMC7.1/a.jpg"])
    assert image(program, 7).read_bytes() == pictures(20, 3000)["PMC7.1/a.jpg"]
    assert account(verify(program, "--json")) == {"requested": 20, "verified": 20}


def test_a_fetch_that_cannot_mend_hides_nothing(program: Program, fetched: ScriptedServer) -> None:
    """Where the mending fetch fails the damaged file stays, damaged it is called, and the next fetch tries again."""
    bad = flip(image(program, 7))
    assert verify(program).code == 4
    fetched.script.add(Fault(status(500), on="PMC7.1/*"))
    assert program.run(f"fetch {WHERE}").code == 4
    assert image(program, 7).read_bytes() == bad
    assert account(verify(program, "--json"))["damaged"] == 1
    fetched.script.clear()
    fetched.requests.clear()
    assert program.run(f"fetch {WHERE}").code == 0
    assert [one.key for one in fetched.requests] == ["PMC7.1/a.jpg"]


def test_killed_after_mending(program: Program, fetched: ScriptedServer) -> None:
    """A fetch that was killed between the new file and its row is not repeated."""
    good = image(program, 7).read_bytes()
    flip(image(program, 7))
    assert verify(program).code == 4
    image(program, 7).write_bytes(good)
    done = calm(program.run(f"fetch {WHERE} --json"))
    assert (done.code, done.json["skipped"], fetched.requests) == (0, 20, [])


class TestRepair:
    def test_mends_what_is_damaged(self, program: Program, fetched: ScriptedServer) -> None:
        """`--repair` fetches the damaged ones alone, counts them as verified, and leaves an unknown file alone."""
        for number in (3, 5):
            flip(image(program, number))
        (image(program, 1).parent / "notes.txt").write_text("mine")
        done = verify(program, "--repair --json")
        assert done.code == 0
        assert account(done) == {"requested": 20, "verified": 20, "repaired": 2, "unknown": 1}
        assert sorted(one.key for one in fetched.requests) == ["PMC3.1/a.jpg", "PMC5.1/a.jpg"]
        expect = pictures(20, 3000)
        assert all(image(program, number).read_bytes() == expect[f"PMC{number}.1/a.jpg"] for number in range(1, 21))
        assert (image(program, 1).parent / "notes.txt").read_text() == "mine"
        assert account(verify(program, "--json"))["verified"] == 20

    @pytest.mark.parametrize("fault", [status(404), status(500), html_page()], ids=["404", "500", "page"])
    def test_what_cannot_be_mended_stays(self, fault: Any, program: Program, fetched: ScriptedServer) -> None:
        """A damaged file whose image does not come stays as it is, is still called damaged, and the exit code is 4."""
        bad = flip(image(program, 3))
        fetched.script.add(Fault(fault, on="*PMC3.*"))
        done = verify(program, "--repair --json")
        assert done.code == 4
        assert account(done) == {"requested": 20, "verified": 19, "damaged": 1, "reasons": {"DAMAGED": 1}}
        assert image(program, 3).read_bytes() == bad

    def test_the_old_file_stays_until_the_new_one_is_whole(self, program: Program, fetched: ScriptedServer) -> None:
        """A repair that is killed in the middle of the body leaves the damaged file under its name."""
        bad = flip(image(program, 3))
        fetched.script.add(Fault(Trickle(100, 0.05)))
        process = program.start(f"verify {WHERE} --repair")
        wait_until(lambda: fetched.requests)
        process.kill()
        process.communicate()
        assert image(program, 3).read_bytes() == bad
        fetched.script.clear()
        assert account(verify(program, "--repair --json"))["repaired"] == 1


class TestJournal:
    def test_lost(self, program: Program, fetched: ScriptedServer) -> None:
        """Without its journal a folder is one that another tool filled."""
        shutil.rmtree(program.folder / "out/.roco")
        done = verify(program, "--json")
        assert (done.code, account(done)) == (0, {"requested": 20, "unrecorded": 20})

    def test_torn(self, program: Program, fetched: ScriptedServer) -> None:
        """A journal whose last line a kill has torn vouches for all lines before it."""
        (journal,) = program.folder.glob("out/.roco/journal/*")
        os.truncate(journal, journal.stat().st_size - 20)
        assert account(verify(program, "--json")) == {"requested": 20, "verified": 19, "unrecorded": 1}

    def test_of_a_killed_run(self, program: Program, bucket: Serve) -> None:
        """After a SIGKILL nothing is damaged: files without a row are unrecorded, images without a file missing."""
        server = bucket(Fault(Trickle(1000, 0.02)))
        process = program.start(f"fetch {WHERE} -n 4")
        wait_until(lambda: sum(one.whole for one in server.requests) >= 8)
        process.kill()
        process.communicate()
        found = verify(program, "--json").json
        assert found["damaged"] == 0
        assert found["verified"] + found["unrecorded"] == len(list(image(program, 1).parent.glob("*.jpg"))) > 0
        assert found["missing"] == 20 - found["verified"] - found["unrecorded"]
        left = list(image(program, 1).parent.glob(".roco-*"))
        verify(program, "--json")
        assert list(image(program, 1).parent.glob(".roco-*")) == left, "a look removes nothing"

    def test_permanent_losses_only(self, program: Program, bucket: Serve) -> None:
        """Where only images are missing that the journal calls lost for good the exit code is 3."""
        bucket(Fault(status(404), on="PMC7.1/*"))
        assert program.run(f"fetch {WHERE}").code == 3
        done = verify(program, "--json")
        assert (done.code, account(done)["reasons"]) == (3, {"NOT_FOUND": 1})
        image(program, 8).unlink()
        assert verify(program, "--json").code == 4

    def test_nothing_there(self, program: Program) -> None:
        """Of an output folder that is not there all is missing, and none is made."""
        done = verify(program, "--json")
        assert (done.code, account(done)) == (4, {"requested": 20, "missing": 20, "reasons": {"NEVER_TRIED": 20}})
        assert not (program.folder / "out").exists()


@pytest.fixture
def read_only(program: Program, fetched: ScriptedServer) -> Iterator[Callable[[], None]]:
    """Make `out` read-only, for a test's time."""
    out = program.folder / "out"
    mounted: list[Path] = []

    def freeze() -> None:
        for options in (["--bind", str(out), str(out)], ["-o", "remount,ro,bind", str(out)]):
            done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
            mounted[:] = [out]

    yield freeze
    for place in mounted:
        subprocess.run(["umount", "-l", place], check=True)


@needs_root
class TestReadOnly:
    def test_whole(self, program: Program, read_only: Callable[[], None]) -> None:
        """A good folder on a read-only disk is verified: 0."""
        read_only()
        assert verify(program).code == 0

    def test_damaged(self, program: Program, read_only: Callable[[], None]) -> None:
        """Damage on a read-only disk is told in full, and that it could not be noted: 5."""
        flip(image(program, 3))
        read_only()
        done = verify(program, "--repair")
        assert done.code == 5
        assert "ROCO_00003: md5" in done.out
        assert "disk" in done.err

    def test_good_and_not_to_be_noted(self, program: Program, read_only: Callable[[], None]) -> None:
        """Good files that only cannot be noted are no failure of the check."""
        shutil.rmtree(program.folder / "out/.roco")
        read_only()
        done = verify(program, "--online --json")
        assert (done.code, account(done)) == (0, {"requested": 20, "verified": 20})
        assert "could not be noted" in done.err


def test_during_a_fetch(program: Program, bucket: Serve) -> None:
    """Checks during a running fetch, with damage in its way, cost it nothing: all come, each asked for once."""
    server = bucket()
    assert program.run(f"fetch {WHERE}").code == 0
    for number in range(1, 11):
        os.truncate(image(program, number), 500)
    server.requests.clear()
    server.script.add(Fault(Trickle(500, 0.05)))
    process = program.start(f"fetch {WHERE} --json -n 2")
    wait_until(lambda: server.requests)
    while process.poll() is None:
        found = verify(program, "--json").json
        assert found["requested"] == 20
        assert found["verified"] >= 10
    done = calm(program.wait(process))
    assert (done.code, done.json["fetched"]) == (0, 10)
    server.requests.clear()
    again = calm(program.run(f"fetch {WHERE} --json"))
    assert (again.code, again.json["skipped"], server.requests) == (0, 20, [])
    assert account(verify(program, "--json")) == {"requested": 20, "verified": 20}


def bytes_read(pid: int) -> int:
    """What a process has read so far (proc(5), io: rchar)."""
    return int(Path(f"/proc/{pid}/io").read_text().split()[1])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["INT", "TERM"])
def test_interrupted(number: signal.Signals, code: int, program: Program) -> None:
    """A signal in the middle ends the check soon, with its code and the account so far, damage noted."""
    count, content = 12_000, picture("x", 300_000)
    write_annotations(program.folder / "many", count)
    folder = image(program, 1).parent
    folder.mkdir(parents=True)
    (folder / "one").write_bytes(content)
    for place in range(1, count + 1):
        os.link(folder / "one", image(program, place))
    image(program, 1).unlink()
    image(program, 1).write_bytes(content[:-400])
    process = program.start("verify test/radiology --data many --out out --json -v", ("--no-progress",))
    wait_until(lambda: bytes_read(process.pid) > 100 * len(content))
    began = time.monotonic()
    process.send_signal(number)
    done = calm(program.wait(process, since=began))
    assert done.code == code
    assert done.json["requested"] < count
    assert done.json["damaged"] == 1
    assert "ROCO_00001: DAMAGED" in done.err
    (journal,) = program.folder.glob("out/.roco/journal/*")
    assert "ROCO_00001" in journal.read_text()
    assert done.seconds < 3


def test_limit(program: Program, fetched: ScriptedServer) -> None:
    """`--limit 5` looks at the first five, and calls none of the others unknown."""
    assert account(verify(program, "--limit 5 --json")) == {"requested": 5, "verified": 5}


def test_named_by_v(program: Program, fetched: ScriptedServer) -> None:
    """`-v` names every damaged, missing and unknown one on stderr, the summary ten of a kind."""
    for number in range(1, 13):
        os.truncate(image(program, number), 100)
    image(program, 13).unlink()
    (image(program, 1).parent / "notes.txt").write_text("mine")
    done = verify(program, "-v --no-progress")
    assert [f"ROCO_{number:05}" in done.err for number in range(1, 15)] == [True] * 13 + [False]
    assert "notes.txt" in done.err
    assert "and 2 more" in done.out


@pytest.mark.parametrize(
    "line", ["verify nonsense", "verify --dry-run", "verify -k x", "verify --data nowhere", "verify --out notes/x.txt"]
)
def test_bad_words(line: str, program: Program) -> None:
    """Words that select nothing, flags of other verbs, a folder that is not there: 2."""
    (program.folder / "notes/x.txt").write_text("")
    assert calm(program.run(line if "--data" in line else f"{line} --data notes")).code == 2


def test_silent_under_x_dev(program: Program, fetched: ScriptedServer) -> None:
    """`python -X dev -W error -m roco_async verify --online --repair` says nothing of forgotten sockets and threads."""
    flip(image(program, 3))
    (program.folder / "out/.roco").rename(program.folder / "lost")
    done = verify(program, "--online --repair --no-progress --json", flags=("-X", "dev", "-W", "error"))
    assert (done.code, done.err) == (0, "")
    assert account(done) == {"requested": 20, "verified": 20, "repaired": 1}
