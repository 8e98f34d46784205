"""stderr, whose reader may be slow, stopped, or gone."""

from __future__ import annotations

import fcntl
import io
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TextIO

import pytest

from roco_async.cli import streams
from roco_async.cli.streams import Patient, Unhurried
from roco_async.records import Statistics


@dataclass
class Reader:
    """A stream over a pipe of 4 kB, and its other end."""

    stream: Patient
    descriptor: int

    def read(self, count: int) -> bytes:
        read = b""
        while len(read) < count:
            read += os.read(self.descriptor, count - len(read))
        return read


def piped() -> tuple[int, TextIO]:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    return reading, open(writing, "w")


@pytest.fixture
def reader() -> Iterator[Reader]:
    reading, inner = piped()
    reader = Reader(Patient(inner), reading)
    yield reader
    os.set_blocking(reading, False)
    while reader.stream.is_behind:  # the thread is in a write: it must not meet another file's descriptor
        try:
            os.read(reading, 1 << 20)
        except BlockingIOError:
            reader.stream.drain()
    inner.close()
    os.close(reading)


def test_a_write_waits_for_nobody(reader: Reader) -> None:
    """Far more than the pipe holds is taken at once, and comes whole and in order when it is read."""
    words = [f"{number}: é\n" * 200 for number in range(100)]
    for word in words:
        assert reader.stream.write(word) == len(word)
    assert reader.stream.is_behind
    whole = "".join(words).encode()
    assert reader.read(len(whole)) == whole
    reader.stream.drain()
    assert not reader.stream.is_behind


@pytest.mark.parametrize("blocking", [True, False])
def test_a_descriptor_that_does_not_block(reader: Reader, blocking: bool) -> None:
    """Another program that shares the terminal may have made its writes return at once: nothing is lost by that."""
    os.set_blocking(reader.stream.fileno(), blocking)
    reader.stream.write("x" * 100_000)
    assert reader.read(100_000) == b"x" * 100_000


def test_the_oldest_goes(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what nobody reads, so much is held and no more; the last words are the ones that stay."""
    monkeypatch.setattr(streams, "_HELD", 50_000)
    reader.stream.write(f"{0:0999}\n")
    os.set_blocking(reader.descriptor, True)
    read = os.read(reader.descriptor, 1)  # it is under way
    for number in range(1, 1000):
        reader.stream.write(f"{number:0999}\n")
    while not read.endswith(b"0999\n"):
        read += os.read(reader.descriptor, 1 << 16)
    lines = read.decode().splitlines()
    assert int(lines[0]) == 0
    assert [int(line) for line in lines[-40:]] == list(range(960, 1000))
    assert len(lines) < 70


def test_a_reader_that_stopped_is_left(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not read within the patience is left, and nobody waits for the same reader a second time."""
    monkeypatch.setattr(streams, "_PATIENCE", 0.01)
    reader.stream.write("x" * 10_000)
    reader.stream.drain()
    assert reader.stream.is_behind
    monkeypatch.setattr(streams, "_PATIENCE", 1e6)
    reader.stream.drain()
    assert reader.stream.is_behind


def test_a_hurry(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the end is asked for, a reader has its time in all, however long its patience would be."""
    monkeypatch.setattr(streams, "_PATIENCE", 1e6)
    monkeypatch.setattr(streams, "_HURRY", 0.01)
    reader.stream.write("x" * 10_000)
    reader.stream.hurry()
    reader.stream.drain()
    assert reader.stream.is_behind


def test_a_log_on_a_full_disk() -> None:
    """Words that a full disk does not take are lost, and no reason to say no more."""
    with open("/dev/full", "w") as full:
        stream = Patient(full)
        for _ in range(3):
            stream.write("lost\n")
            stream.drain()
        assert not stream.is_behind


def test_a_reader_that_left() -> None:
    """A reader that left ends the wait for it, and every write from then on says so."""
    reading, inner = piped()
    stream = Patient(inner)
    stream.write("x" * 100_000)
    os.close(reading)
    stream.drain()
    for _ in range(2):
        with pytest.raises(BrokenPipeError):
            stream.write("more")
    assert not stream.is_behind, "a drawer has to meet the error"
    inner.close()


class Frames:
    """A Drawer that counts."""

    def __init__(self) -> None:
        self.drawn = 0
        self.closed = 0

    def draw(self, now: Statistics) -> None:
        self.drawn += 1

    def close(self, last: Statistics) -> None:
        self.closed += 1


def test_no_frame_for_a_reader_that_is_behind(reader: Reader) -> None:
    """A bar draws nothing while its last frame is unread, goes on when it is read, and is closed in any case."""
    frames = Frames()
    drawer = Unhurried(frames, reader.stream)
    drawer.draw(Statistics())
    reader.stream.write("x" * 10_000)
    drawer.draw(Statistics())
    assert frames.drawn == 1
    reader.read(10_000)
    reader.stream.drain()
    drawer.draw(Statistics())
    drawer.close(Statistics())
    assert (frames.drawn, frames.closed) == (2, 1)


def test_no_file_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stderr that is no file, a notebook's or a test's own, is written to as before."""
    own = io.StringIO()
    monkeypatch.setattr(sys, "stderr", own)
    with streams.patient_stderr():
        assert sys.stderr is own
