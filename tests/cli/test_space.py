"""The disk's room is compared with what a run needs, before it begins, and said."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import pytest

from roco_async.cli.words import room, warning_of_room
from roco_async.survey import MEAN_SIZE, Survey
from tests.cancel.stage import pictures
from tests.faults.mounts import needs_root, small
from tests.faults.stage import files_below
from tests.servers.faults import Fault, status
from tests.servers.scripted import ScriptedServer

from .program import Program, calm

Serve = Callable[..., ScriptedServer]
LINE = "test/radiology --data notes --out disk"


@pytest.fixture
def disk(program: Program) -> Iterator[Path]:
    """A disk of 1 MiB, for 20 images that are thought to need 1.9 MB."""
    with small(program.folder / "disk") as folder:
        yield folder


@needs_root
def test_said_before_the_run(program: Program, bucket: Serve, disk: Path) -> None:
    """A disk of 1 MiB: one line says what is needed, what is free, where, and what to do; the run goes on, and fits."""
    bucket()
    done = calm(program.run(f"{LINE} --no-progress --json"))
    assert (done.code, done.json["fetched"]) == (0, 20)
    (line,) = done.err.splitlines()
    for word in ("about 1.9 MB for 20 images", "free in disk: 1.0 MB", "may be too little", "--out"):
        assert word in line


@needs_root
def test_a_disk_that_is_too_small_indeed(program: Program, bucket: Serve, disk: Path) -> None:
    """It is said before the run, the full disk ends the run with 5, nothing is torn, and with room the next goes on."""
    server = bucket(size=100_000)
    done = calm(program.run(f"{LINE} --no-progress --json"))
    assert done.code == 5
    assert done.err.index("may be too little") < done.err.index("the disk refused")
    there = files_below(disk)
    whole = {f"test/radiology/images/ROCO_{n:05}.jpg": data for n, data in enumerate(pictures(20, 100_000).values(), 1)}
    assert 0 < len(there) < 20
    assert all((disk / name).read_bytes() == whole[name] for name in there)
    subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
    server.requests.clear()
    done = calm(program.run(f"{LINE} --no-progress --json"))
    assert (done.code, done.err, done.json["skipped"]) == (0, "", len(there))
    assert len(server.requests) == 20 - len(there)
    assert {name: (disk / name).read_bytes() for name in files_below(disk)} == whole


@needs_root
@pytest.mark.parametrize("flags", ["-q", "-q --json"])
def test_quiet(flags: str, program: Program, bucket: Serve, disk: Path) -> None:
    """`-q` says nothing of room that may be too little: all went well in the end."""
    bucket()
    done = program.run(f"{LINE} {flags}")
    assert (done.code, done.err) == (0, "")


@needs_root
def test_nothing_is_said_where_all_is_there(program: Program, bucket: Serve, disk: Path) -> None:
    """A full disk that has all images is large enough: the second run is silent, asks for nothing, and exits 0."""
    server = bucket()
    program.run(f"{LINE} -q")
    with (disk / "filler").open("ab", buffering=0) as file, pytest.raises(OSError, match="No space"):
        file.writelines(repeat(bytes(4096)))
    server.requests.clear()
    done = calm(program.run(f"{LINE} --no-progress --json"))
    assert (done.code, done.json["skipped"], done.err, server.requests) == (0, 20, "", [])


def test_nothing_is_said_where_there_is_room(program: Program, bucket: Serve) -> None:
    """A disk with room is not worth a word."""
    bucket()
    done = calm(program.run("test/radiology --data notes --out out --no-progress --json"))
    assert (done.code, done.err) == (0, "")


@needs_root
def test_dry_run(program: Program, bucket: Serve, disk: Path) -> None:
    """`--dry-run` makes the same comparison, in words and in JSON, and makes no request."""
    server = bucket()
    done = calm(program.run(f"{LINE} --dry-run"))
    (line,) = [line for line in done.out.splitlines() if line.startswith("bytes: ")]
    assert line == "bytes: about 1.9 MB for 20 images; free in disk: 1.0 MB, which may be too little"
    found = calm(program.run(f"{LINE} --dry-run --json")).json
    assert (found["bytes_known"], found["bytes_estimated"], found["free"]) == (0, 20 * MEAN_SIZE, 1 << 20)
    assert (done.code, done.err, server.connections) == (0, "", 0)


@needs_root
def test_retry(program: Program, bucket: Serve, disk: Path) -> None:
    """`retry` compares what it asks for, and no more: room for one image is enough for one."""
    server = bucket(Fault(status(500), on="PMC[89].1/*"))
    assert program.run(f"{LINE} -q").code == 4
    (disk / "filler").write_bytes(bytes(850_000))
    done = calm(program.run(f"retry {LINE} --no-progress --limit 1 --json"))
    assert (done.code, done.err) == (4, "")
    server.script.clear()
    done = calm(program.run(f"retry {LINE} --no-progress --json"))
    assert done.code == 0
    assert "about 191.0 kB for 2 images" in done.err


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Survey(to_fetch=1, bytes_known=900, free=1000), "900 bytes for 1 image; free in out: 1.0 kB"),
        (
            Survey(to_fetch=2, bytes_known=2000, free=999),
            "2.0 kB for 2 images; free in out: 999 bytes, which is too little",
        ),
        (
            Survey(to_fetch=3, bytes_known=900, bytes_estimated=1100, free=999),
            "about 2.0 kB for 3 images; free in out: 999 bytes, which may be too little",
        ),
        (
            Survey(to_fetch=3, bytes_known=1000, bytes_estimated=1000, free=999),
            "about 2.0 kB for 3 images; free in out: 999 bytes, which is too little",
        ),
        (Survey(to_fetch=1, bytes_known=900), "900 bytes for 1 image; free in out: unknown"),
        (Survey(free=0), "0 bytes for 0 images; free in out: 0 bytes"),
    ],
    ids=str,
)
def test_words(found: Survey, words: str) -> None:
    """Known sizes are told without `about`, and a shortage that is no estimate without `may`."""
    assert room(found, Path("out")) == words
    assert words in warning_of_room(found, Path("out"))
