"""Kills, and what has to hold after each of them: nothing torn, nothing lost, nothing asked for twice in vain."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from typing import Final, NamedTuple

from roco_async.store.journal import Ledger

from .roads import ROADS
from .scene import CONNECTIONS, Asked, Scene, Words

MOST_IN_FLIGHT: Final = 2 * CONNECTIONS
"""As many are being brought as there are connections, and as many again may be on their way to the disk."""

_KILLS_A_SCENE: Final = 4
_LONGEST: Final = 1.2
_PATIENCE: Final = 20.0


@dataclass
class Tally:
    """What came of the kills of one road.

    Args:
        torn: files with other bytes under a final name.
        lost: images that were there once and were not there later, or at the end.
        again: requests for an object beyond the first.
        halves: files under temporary names, and torn last lines of journals, that kills left; later runs clear them up.
        in_flight: objects that had been asked for and had not arrived, kill by kill.
        faults: every violation, in words.
    """

    kills: int = 0
    torn: int = 0
    lost: int = 0
    again: int = 0
    halves: int = 0
    in_flight: list[int] = field(default_factory=list)
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Moment(NamedTuple):
    """When to kill: in words, how to see that it has come, and seconds to let pass then."""

    words: str
    has_come: Callable[[], bool]
    lag: float


@dataclass
class _State:
    """What lies in the folders between two commands."""

    right: set[str]
    journals: dict[str, bytes]
    parts: dict[str, int]
    halves: int


class Campaign:
    """Kills on one road.

    Args:
        road: its name.
        seed: draws the moments.
        folder: an empty folder.
    """

    def __init__(self, road: str, seed: int, folder: Path) -> None:
        self.road = road
        self._seed = seed
        self._dice = random.Random(f"{seed} {road}")
        self._folder = folder
        self._scenes = 0
        self._moment = "before any"
        self.tally = Tally()

    def run(self, kills: int) -> Tally:
        """Kill so often, in as many scenes as it takes, and bring each scene to its end."""
        began = time.monotonic()
        while self.tally.kills < kills:
            self._scenes += 1
            folder = self._folder / str(self._scenes)
            folder.mkdir(parents=True)
            with ROADS[self.road](folder) as scene:
                some = min(self._dice.randint(1, _KILLS_A_SCENE), kills - self.tally.kills)
                try:
                    self._play(scene, some)
                except AssertionError as error:  # it hung, or it left a traceback
                    self._blame("no calm end", [str(error)])
        self.tally.seconds = time.monotonic() - began
        return self.tally

    def _play(self, scene: Scene, kills: int) -> None:
        allowed: Counter[str] = Counter()
        for _ in range(kills):
            in_flight = self._kill(scene)
            if scene.there()[0] == scene.wanted.keys():
                break  # there is nothing left to do, and nothing to kill
            allowed.update(in_flight)
        scene.calm_down()
        for words, code in scene.ending:
            self._end(scene, words, code)
        times = Counter(asked.key for asked in scene.asked())
        self.tally.again += sum(times.values()) - len(times)
        self._blame("asked for again, though not in flight", (times - Counter(times.keys()) - allowed).keys())
        right, torn = scene.there()
        self.tally.torn += len(torn)
        self.tally.lost += len(scene.wanted.keys() - right - torn)
        self._blame("torn or missing at the end", scene.wanted.keys() - right)
        self._blame("left at the end", scene.others())
        kept = {name: scene.keeps / name for name in scene.kept}
        self._blame(
            "not kept as it is",
            (name for name, file in kept.items() if not file.exists() or file.read_bytes() != scene.kept[name]),
        )
        self._check_ledger(scene)

    def _kill(self, scene: Scene) -> set[str]:
        """Kill once, unless the command ends by itself before; return the objects that were in flight."""
        before, heard = self._state(scene), len(scene.asked())
        moment = self._draw(scene, before, heard)
        self._moment = moment.words
        process = scene.start()
        deadline = time.monotonic() + _PATIENCE
        while process.poll() is None and not moment.has_come() and time.monotonic() < deadline:
            time.sleep(0.002)  # another process's doing: there is no event for it
        time.sleep(moment.lag)
        process.kill()
        said = "".join(process.communicate())
        if process.returncode >= 0:
            expected = {code for words, code in scene.ending if words == scene.words}
            if process.returncode not in expected:
                self._blame(f"exit code {process.returncode}", [said])
            return set()
        self.tally.kills += 1
        asked = scene.asked()[heard:]
        self._check(scene, before, asked)
        after = self._state(scene)
        self.tally.halves += max(0, after.halves - before.halves)
        in_flight = {one.key for one in asked if not scene.serves[one.key] <= after.right}
        self.tally.in_flight.append(len(in_flight))
        if len(in_flight) > MOST_IN_FLIGHT:
            self._blame("more in flight than there may be", in_flight)
        return in_flight

    def _end(self, scene: Scene, words: Words, code: int) -> None:
        """Run a command to its end."""
        before, heard = self._state(scene), len(scene.asked())
        done = scene.run(words)
        if done.code != code:
            self._blame(f"exit code {done.code} of {words[0]}", [done.err])
        self._check(scene, before, scene.asked()[heard:])
        if words[0] not in ("retry", "verify"):
            told = done.json["fetched"], done.json["skipped"]
            if told != (len(scene.wanted) - len(before.right), len(before.right)):
                self._blame("another account", [f"{told} fetched and skipped, {len(before.right)} were there"])

    def _check(self, scene: Scene, before: _State, asked: list[Asked]) -> None:
        """Hold what lies there after a command against what lay there before, and against what it asked for."""
        after = self._state(scene)
        _, torn = scene.there()
        self.tally.torn += len(torn)
        self.tally.lost += len(before.right - after.right)
        self._blame("torn", torn)
        self._blame("lost", before.right - after.right)
        self._blame("asked for, though there", (one.key for one in asked if scene.serves[one.key] <= before.right))
        self._blame("a journal that was changed", (
            name for name, said in before.journals.items() if not after.journals.get(name, b"").startswith(said)
        ))  # fmt: skip
        for name, said in after.journals.items():
            self._check_journal(scene, name, said, after.right)
        for key, offset in before.parts.items():
            starts = [one.start for one in asked if one.key == key]
            if starts and starts[0] != offset:
                self._blame("not gone on with at its byte", [f"{key}: {starts[0]}, not {offset}"])
            if not (scene.keeps / key).exists() and after.parts.get(key, 0) < offset:
                self._blame("bytes of a package lost", [f"{key}: {after.parts.get(key, 0)} of {offset} are left"])

    def _check_journal(self, scene: Scene, name: str, said: bytes, right: set[str]) -> None:
        """Each line is whole but the last one of a killed run, and none tells of a file that is not there."""
        *lines, _ = said.split(b"\n")
        for line in lines:
            try:
                row = json.loads(line)
                file = f"{row['folder']}/{row['file']}"
            except (ValueError, KeyError, TypeError):
                self._blame(f"a torn line within {name}", [repr(line)])
                continue
            if row["status"] == "FETCHED" and file not in right | scene.spoilt:
                self._blame("a row before its file", [file])

    def _check_ledger(self, scene: Scene) -> None:
        """At the end the journals know every image, with its md5."""
        ledger = Ledger.read(str(scene.out / ".roco" / "journal"))
        for name, content in scene.wanted.items():
            folder, _, file = name.rpartition("/")
            row = ledger.row(folder, file)
            if row is None or not row.there or row.md5 != md5(content).hexdigest():
                self._blame("not in the journals", [f"{name}: {row}"])

    def _state(self, scene: Scene) -> _State:
        journals = {file.name: file.read_bytes() for file in (scene.out / ".roco" / "journal").glob("*")}
        tails = sum(not said.endswith(b"\n") for said in journals.values() if said)
        return _State(scene.there()[0], journals, dict(_parts(scene)), len(scene.others()) + tails)

    def _draw(self, scene: Scene, before: _State, heard: int) -> Moment:
        """Draw the moment of a kill."""
        dice, lag = self._dice, self._dice.choice((0.0, self._dice.uniform(0, 0.04)))
        files = len(scene.wanted) - len(before.right) - len(scene.spoilt)
        requests = sum(not names <= before.right for names in scene.serves.values())
        there, written = len(before.right | scene.spoilt), sum(map(len, before.journals.values()))
        began = time.monotonic()
        kinds = ["time"] if files == 0 else ["time", "files", "all files", "journal"]
        kinds += ["requests"] * 2 if files and scene.ear.ports else []
        kinds += ["part"] * 2 if files and scene.kept else []
        match dice.choice(kinds):
            case "files":
                number = dice.randint(1, files)
                return Moment(f"{number} files", lambda: _count(scene) >= there + number, lag)
            case "all files":
                return Moment("all files", lambda: _count(scene) >= len(scene.wanted), lag * 4)
            case "journal":
                size = written + dice.randint(1, 300 * files)
                return Moment(f"{size} bytes of journal", lambda: _journal_size(scene) >= size, 0.0)
            case "requests":
                number = dice.randint(1, requests)
                return Moment(f"{number} requests", lambda: len(scene.ear.asked()) >= heard + number, lag)
            case "part":
                size = dice.randint(1, 90_000)
                name = dice.choice(sorted(scene.kept))
                part = scene.keeps / f"{name}.part"
                return Moment(f"{size} bytes of {name}", lambda: part.exists() and part.stat().st_size >= size, 0.0)
        seconds = dice.uniform(0, _LONGEST if files else _LONGEST / 2)
        return Moment(f"{seconds:.3f} s", lambda: time.monotonic() - began >= seconds, 0.0)

    def _blame(self, what: str, things: Iterable[str]) -> None:
        named = sorted(things)
        if named:
            place = f"{self.road}, seed {self._seed}, kill {self.tally.kills} after {self._moment}"
            self.tally.faults.append(f"{what} ({place}): {', '.join(named[:5])}")


def _count(scene: Scene) -> int:
    return sum(1 for _ in scene.out.rglob("*.jpg"))


def _journal_size(scene: Scene) -> int:
    return sum(file.stat().st_size for file in (scene.out / ".roco" / "journal").glob("*"))


def _parts(scene: Scene) -> Iterable[tuple[str, int]]:
    """Yield each package that was begun and can be gone on with, and its byte."""
    for name, body in scene.kept.items():
        part, note = scene.keeps / f"{name}.part", scene.keeps / f"{name}.part.json"
        if part.exists() and note.exists():
            try:
                json.loads(note.read_text())
            except ValueError:
                continue
            size = min(part.stat().st_size, len(body) - 1)
            if size:
                yield name, size


def shares(kills: int) -> dict[str, int]:
    """Spread kills over the roads."""
    names = list(ROADS)
    return {name: kills // len(names) + (place < kills % len(names)) for place, name in enumerate(names)}
