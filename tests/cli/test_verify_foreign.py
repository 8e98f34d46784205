"""`verify` of a folder that another tool filled, and `--online`."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import pytest

from tests.cancel.stage import pictures
from tests.faults.stage import picture
from tests.servers.faults import Fault, Trickle, status
from tests.servers.objects import StoredObject
from tests.servers.ports import free_port
from tests.servers.scripted import ScriptedServer

from .damage import WHERE, account, flip, image, verify
from .program import Program, calm, wait_until

Serve = Callable[..., ScriptedServer]


class TestAnotherTool:
    """A folder that was filled by `cp`: no journal."""

    @pytest.fixture
    def copied(self, program: Program, bucket: Serve) -> ScriptedServer:
        server = bucket()
        image(program, 1).parent.mkdir(parents=True)
        for number in range(1, 21):
            image(program, number).write_bytes(pictures(20, 3000)[f"PMC{number}.1/a.jpg"])
        return server

    def test_is_said(self, program: Program, copied: ScriptedServer) -> None:
        """`verify` says that another tool filled it, checks beginning and end, exits 0, and writes nothing."""
        done = verify(program)
        assert done.code == 0
        assert "0 of 20 images are there and verified" in done.out
        assert "20 not known to the journal" in done.out
        assert "another tool filled this folder" in done.out
        assert not (program.folder / "out/.roco").exists()
        assert account(verify(program, "--json")) == {"requested": 20, "unrecorded": 20}
        assert copied.requests == []

    def test_torn_and_pages(self, program: Program, copied: ScriptedServer) -> None:
        """A cut file and a web page are damaged by their own look, and the next fetch asks for these two."""
        os.truncate(image(program, 2), 1000)
        image(program, 3).write_bytes(b"<html><body>Log in")
        assert account(verify(program, "--json")) == {
            "requested": 20, "unrecorded": 18, "damaged": 2, "reasons": {"DAMAGED": 2},
        }  # fmt: skip
        assert program.run(f"fetch {WHERE}").code == 0
        assert sorted(one.key for one in copied.requests) == ["PMC2.1/a.jpg", "PMC3.1/a.jpg"]

    def test_online(self, program: Program, copied: ScriptedServer) -> None:
        """`--online` finds a flipped byte by one listing an article, asks for no image, and asks no second time."""
        flip(image(program, 9))
        done = verify(program, "--online --json")
        assert done.code == 4
        assert account(done) == {"requested": 20, "verified": 19, "damaged": 1, "reasons": {"DAMAGED": 1}}
        assert (len(copied.requests), len(copied.listings), copied.image_requests) == (20, 20, [])
        copied.requests.clear()
        assert account(verify(program, "--online --json"))["verified"] == 19
        assert [one.key for one in copied.requests] == [], "the journal knows all of them now"
        assert account(verify(program, "--repair --json")) == {"requested": 20, "verified": 20, "repaired": 1}

    def test_adopted_by_a_fetch(self, program: Program, copied: ScriptedServer) -> None:
        """A flipped file that a fetch took for good by its ends is found by `--online`, and the good ones are noted."""
        flip(image(program, 9))
        assert program.run(f"fetch {WHERE}").code == 0
        assert account(verify(program, "--json")) == {"requested": 20, "verified": 20}
        assert copied.requests == []
        expect = {"requested": 20, "verified": 19, "damaged": 1, "reasons": {"DAMAGED": 1}}
        assert account(verify(program, "--online --json")) == expect
        assert len(copied.listings) == 20
        assert account(verify(program, "--json")) == expect
        assert account(verify(program, "--online --repair --json"))["repaired"] == 1
        assert len(copied.listings) == 20, "the journal knows the others now"

    def test_one_listing_an_article(self, program: Program, copied: ScriptedServer) -> None:
        """Twenty images of one article are held against one listing."""
        for name in ("dlinks", "licences"):
            notes = program.folder / f"notes/test/radiology/{name}.txt"
            lines = notes.read_text().splitlines(keepends=True)
            for number in range(1, 21):
                swap = [(f"PMC{number}.tar.gz", "PMC1.tar.gz"), (f"PMC{number}_a.jpg", f"PMC1_{number}.jpg")]
                lines = [line.replace(*swap[name == "licences"]) for line in lines]
            if name == "dlinks":
                lines = [line.replace("\ta.jpg", f"\t{number}.jpg") for number, line in enumerate(lines, 1)]
            notes.write_text("".join(lines))
        for number in range(1, 21):
            copied.bucket.put(f"PMC1.1/{number}.jpg", image(program, number).read_bytes())
        assert account(verify(program, "--online --json")) == {"requested": 20, "verified": 20}
        assert [one.key for one in copied.requests] == ["?list-type=2&prefix=PMC1."]

    def test_another_version(self, program: Program, copied: ScriptedServer) -> None:
        """A file of the bucket's second version is no damage."""
        copied.bucket.put("PMC4.2/a.jpg", picture("second", 2000))
        image(program, 4).write_bytes(picture("second", 2000))
        assert account(verify(program, "--online --json")) == {"requested": 20, "verified": 20}

    def test_opaque_etags(self, program: Program, copied: ScriptedServer) -> None:
        """Where the bucket tells no md5 a right size proves nothing, and a wrong one proves damage."""
        for number in (4, 5):
            content = pictures(20, 3000)[f"PMC{number}.1/a.jpg"]
            copied.bucket.put(f"PMC{number}.1/a.jpg", StoredObject(content, etag='"a-2"'))
        image(program, 5).write_bytes(picture("x", 2999))
        expect = {"requested": 20, "verified": 18, "unrecorded": 1, "damaged": 1, "reasons": {"DAMAGED": 1}}
        assert account(verify(program, "--online --json")) == expect

    def test_a_bucket_that_fails(self, program: Program, copied: ScriptedServer) -> None:
        """A listing that does not come leaves its file unrecorded, is counted with its reason, and the code is 4."""
        copied.script.add(Fault(status(500), on="[?]*prefix=PMC4.*"))
        done = verify(program, "--online --json")
        assert done.code == 4
        assert account(done) == {"requested": 20, "verified": 19, "unrecorded": 1, "reasons": {"SERVER_ERROR": 1}}

    def test_a_bucket_that_lacks_the_image(self, program: Program, copied: ScriptedServer) -> None:
        """A file that the bucket has no longer is kept, and is neither verified nor damaged."""
        copied.bucket.put("PMC4.1/a.jpg", None)
        done = verify(program, "--online --json")
        assert (done.code, account(done)) == (0, {"requested": 20, "verified": 19, "unrecorded": 1})

    def test_no_bucket(self, program: Program, copied: ScriptedServer) -> None:
        """`--online` before a closed port ends soon, with 4, and calls nothing damaged."""
        done = verify(program, f"--online --json --cloud-url http://127.0.0.1:{free_port()}/")
        assert done.code == 4
        assert account(done)["unrecorded"] == 20
        assert "damaged" not in account(done)
        assert done.seconds < 10


def test_interrupted_online(program: Program, bucket: Serve) -> None:
    """A signal while listings hang: five seconds at most, 130, and what was not compared is called unrecorded."""
    server = bucket(Fault(Trickle(1, 5), on="[?]*"))
    image(program, 1).parent.mkdir(parents=True)
    image(program, 1).write_bytes(pictures(20, 3000)["PMC1.1/a.jpg"])
    process = program.start(f"verify {WHERE} --online --json", ("--timeout", "20"))
    wait_until(lambda: server.requests)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    done = calm(program.wait(process, since=began))
    assert done.code == 130
    assert done.seconds < 5.5
    assert account(done)["unrecorded"] == 1
