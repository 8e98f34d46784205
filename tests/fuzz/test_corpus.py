"""The kept corpus through every target, mutations of it, and the targets' own oracles put to the test."""

from __future__ import annotations

import importlib.util
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roco_async.archive.events import Member

from . import __main__ as command
from .targets import CORPUS, TARGETS, seeds

SEEDS = [path for name in TARGETS for path in seeds(name)]


def id_of(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", SEEDS, ids=id_of)
def test_kept_inputs(path: Path) -> None:
    """No kept input makes its parser and its oracle differ, or raises what the parser does not promise."""
    TARGETS[path.parent.name].run(path.read_bytes())


def test_the_corpus_is_small_and_has_a_folder_a_target() -> None:
    """Each target has seeds, each seed a target, and all of them together are under 300 kB, none over 8 KiB."""
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    assert all(seeds(name) for name in TARGETS)
    sizes = [path.stat().st_size for path in SEEDS]
    assert sum(sizes) < 300_000
    assert max(sizes) <= 8192


Change = Callable[[bytes, bytes], bytes]

parts = st.floats(0, 1)
runs = st.sampled_from([b"\0" * 4, b"\xff" * 4, b"\n", b"9" * 12, b"\t"])
pieces = st.one_of(st.binary(min_size=1, max_size=6), runs)


def overwritten(where: float, piece: bytes) -> Change:
    return lambda data, _: data[: int(where * len(data))] + piece + data[int(where * len(data)) + len(piece) :]


def inserted(where: float, piece: bytes) -> Change:
    return lambda data, _: data[: int(where * len(data))] + piece + data[int(where * len(data)) :]


def removed(where: float, size: int) -> Change:
    return lambda data, _: data[: int(where * len(data))] + data[int(where * len(data)) + size :]


def joined(where: float, there: float) -> Change:
    return lambda data, other: data[: int(where * len(data))] + other[int(there * len(other)) :]


changes = st.lists(
    st.one_of(
        st.builds(overwritten, parts, pieces),
        st.builds(inserted, parts, pieces),
        st.builds(removed, parts, st.integers(1, 600)),
        st.builds(joined, parts, parts),
    ),
    min_size=1,
    max_size=4,
)


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(one=st.integers(0, 999), other=st.integers(0, 999), edits=changes, chance=st.integers(0, 1 << 16))
def test_changed_inputs(name: str, one: int, other: int, edits: list[Change], chance: int) -> None:
    """Nor does any of some dozens of changed ones, whose checksums are mended where the target can; always the same."""
    target = TARGETS[name]
    kept = seeds(name)
    neighbour = kept[other % len(kept)].read_bytes()

    def edit(data: bytes) -> bytes:
        for change in edits:
            data = change(data, neighbour)[: 4 * target.largest]
        return data

    data = target.mutate(edit, kept[one % len(kept)].read_bytes(), random.Random(chance))
    target.run(data[: target.largest])


def nothing(*_: object, **__: object) -> None:
    return None


def last_part(receiver: Any, member: Member) -> str | None:
    name = member.name.rpartition("/")[2]
    return name if name in receiver._missing else None


SABOTAGE: dict[str, tuple[str, object]] = {
    "gunzip": ("roco_async.archive.gunzip.Gunzip.finish", nothing),
    "untar": ("roco_async.archive.headers._check_sum", nothing),
    "package": ("roco_async.store.package.PackageReceiver._wanted_name", last_part),
    "listing": ("roco_async.sources.listing._Reader._doctype", nothing),
    "annotations": ("roco_async.dataset.rows.Form.explain", lambda *_: []),
    "journal": ("roco_async.store.journal._joined", lambda _, row: row),
    "fields": ("roco_async.transport.headers._LONGEST_RETRY_AFTER", 1e9),
    "ftp": ("roco_async.transport.replies._BREAKS_A_LINE", re.compile(r"(?!)")),
    "encoding": ("roco_async.transport.coding._INFLATE_STEP", 1 << 22),
    "picture": ("roco_async.store.pictures._end_fault", nothing),
    "names": ("roco_async.store.layout.check_name", nothing),
}


@pytest.mark.parametrize("name", TARGETS)
def test_oracles_see(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parser with one rule taken out of it is told by its oracle, on the kept inputs alone."""
    monkeypatch.setattr(*SABOTAGE[name])

    def fails(path: Path) -> bool:
        try:
            TARGETS[name].run(path.read_bytes())
        except Exception:
            return True
        return False

    assert any(fails(path) for path in seeds(name))


def test_without_atheris(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where atheris is lacking, the command says in one sentence what to install, and does nothing."""
    monkeypatch.setattr(importlib.util, "find_spec", nothing)
    monkeypatch.setattr(sys, "argv", ["fuzz", "all"])
    assert command.main() == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "pip install --group fuzz" in err
