"""The stage of the cancel tests: a bucket slow enough to be left in the middle, and what has to be left of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from roco_async import FetchConfig, ImageRecord
from tests.faults.stage import files_below, picture
from tests.servers.faults import Fault, Trickle
from tests.servers.scripted import ScriptedServer

COUNT: Final = 40
GROUP: Final = "test/radiology"


def pictures(count: int = COUNT, size: int = 8000) -> dict[str, bytes]:
    return {f"PMC{number}.1/a.jpg": picture(str(number), size) for number in range(1, count + 1)}


def records(count: int = COUNT, *, folder: str = "images") -> list[ImageRecord]:
    return [ImageRecord(f"ROCO_{number:05}", f"PMC{number}", "a.jpg", folder) for number in range(1, count + 1)]


def slow_bucket(count: int = COUNT, *, step: float = 0.02) -> ScriptedServer:
    """Return a bucket whose images take eight steps each."""
    return ScriptedServer(pictures(count), Fault(Trickle(1000, step)))


def settings(server: ScriptedServer, out: Path, **more: object) -> FetchConfig:
    fields: dict[str, object] = {"connections": 6, "attempts": 3, "timeout": 2.0, "outage": 3.0, **more}
    return FetchConfig(out=out, cloud_url=server.base, **fields)  # type: ignore[arg-type]


def write_annotations(root: Path, count: int = COUNT, group: str = GROUP) -> Path:
    """Write the six files of a group, as upstream does, and return the annotation root."""
    folder = root / group
    folder.mkdir(parents=True)
    ids = [f"ROCO_{number:05}" for number in range(1, count + 1)]
    package = "ftp://ftp.ncbi.nlm.nih.gov/pub/pmc/oa_package/00/00/PMC{}.tar.gz"
    rows = {
        "dlinks": [
            f"{name}\twget -r {package.format(number)} -P /path/to/Dir\ta.jpg"
            for number, name in enumerate(ids, start=1)
        ],
        "captions": [f"{name}\t A phantom." for name in ids],
        "keywords": [f"{name}\t\tphantom" for name in ids],
        "cuis": [f"{name}\tC0040395" for name in ids],
        "semtypes": [f"{name}\tT060\tDiagnostic Procedure" for name in ids],
        "licences": ["ROCO_ID,PMC_ID,CC", *(f"{name},PMC{number}_a.jpg,CC BY" for number, name in enumerate(ids, 1))],
    }
    for name, lines in rows.items():
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    return root


def numbers_there(out: Path, folder: str = "images") -> set[int]:
    """Return which images are under their final names; each must be whole, and nothing else may be there.

    Raises:
        AssertionError: a torn file, a temporary one, or anything unknown.
    """
    whole, there = pictures(), set()
    for name in files_below(out):
        assert name.startswith(f"{folder}/ROCO_"), f"{name} is left behind"
        number = int(Path(name).stem.removeprefix("ROCO_"))
        assert (out / name).read_bytes() == whole[f"PMC{number}.1/a.jpg"], f"{name} is torn"
        there.add(number)
    return there


def asked(server: ScriptedServer) -> set[int]:
    return {int(one.key.split(".")[0].removeprefix("PMC")) for one in server.image_requests}
