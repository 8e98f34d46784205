"""What the benchmarks read and print."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from benchmarks.cloud import check_all
from benchmarks.latency import sample_of
from benchmarks.lines import Line
from benchmarks.measure import Run, interleaved, ratios, table
from benchmarks.peers import PEERS, Peer, Work

TWO = {"a": [Run(2, 1, 10), Run(4, 3, 30), Run(3, 2, 20)], "b": [Run(6, 1, 10, "left 1 of 2 files")]}


def test_table_has_medians_and_faults() -> None:
    """A row has medians and the ratio of the base to it; what a command did wrong stands below."""
    rows = table(TWO, count=6, base="a", columns={"checks": {"b": "md5"}}).splitlines()
    assert rows[2] == "| a | 2 | 2-3 | 333,333 | 20 | 1.00 |  |"
    assert rows[3] == "| b | 1 | 1-1 | 166,667 | 10 | 2.00 | md5 |"
    assert rows[4:] == ["b left 1 of 2 files"]


def test_ratios_say_how_many_times_as_fast_the_base_is() -> None:
    """The ratio is the rate of the base over each one's."""
    assert ratios(TWO, "b") == {"a": "0.50", "b": "1.00"}


@pytest.mark.parametrize("name", ["", "first-byte", "latency-", "latency-fast", "TLS"])
def test_unknown_lines_are_refused(name: str) -> None:
    """A line that nobody knows is refused instead of measured as another one."""
    with pytest.raises(ValueError, match="none of"):
        Line.parse(name)


def test_silent_connections_are_told_from_busy_ones() -> None:
    """A connection is silent if it has neither sent nor received for long, whichever was last."""
    found = "cubic lastsnd:900 lastrcv:900 lastack:2\ncubic lastsnd:900 lastrcv:4\ncubic lastsnd:80 lastrcv:700\n"
    sample = sample_of(found, silence=120)
    assert (sample.open, sample.silent) == (3, 1)


def test_files_are_known_by_their_content(tmp_path: Path) -> None:
    """Each wanted file has to be there once, under whatever name; one that is another's copy counts once."""
    digests = {name: hashlib.md5(name.encode()).hexdigest() for name in ("a", "b")}
    for name, content in (("1.jpg", b"a"), ("2.jpg", b"a")):
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RuntimeError, match="1 of 2"):
        check_all(tmp_path, digests)
    (tmp_path / "2.jpg").write_bytes(b"b")
    check_all(tmp_path, digests)


def test_a_peers_fault_is_a_result_and_ours_an_error(tmp_path: Path) -> None:
    """A lenient command's exit code and lost files are told in its results; any other's end the benchmark."""

    def fails(out: Path) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", "raise SystemExit(3)"]

    def loses(out: Path) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", ""]

    def check(_: Path) -> None:
        pass

    def compare(lenient: set[str]) -> dict[str, list[Run]]:
        return interleaved(
            {"fails": fails, "loses": loses},
            rounds=1,
            scratch=tmp_path,
            count=1,
            check=check,
            lenient=lenient,
        )

    results = compare({"fails", "loses"})
    assert [results[name][0].fault.partition(":")[0] for name in results] == ["ended with 3", "left 0 of 1 files"]
    with pytest.raises(RuntimeError, match="loses left 0"):
        compare({"fails"})


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_is_told_all_it_needs(peer: Peer, tmp_path: Path) -> None:
    """Each peer is told where files go, how many connections it has (each process its half), and every URL."""
    rows = [("https://host:1/bucket/PMC1.1/a.jpg", "R1.jpg", "0" * 32)]
    work = Work(rows, "https://host:1", "bucket", 86420, tmp_path / "ca.pem", tmp_path)
    words = " ".join(peer.command(work, tmp_path / "out"))
    listed = (tmp_path / "list").read_text()
    assert "86420" in words or "43210" in words
    assert str(tmp_path / "out") in words + listed
    assert "PMC1.1/a.jpg" in listed
