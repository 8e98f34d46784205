"""Output folders that are not ours, or go away in the middle: 5 in words, nothing torn, and the next run goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cancel.stage import pictures
from tests.faults.stage import files_below
from tests.servers.faults import Fault, Trickle
from tests.servers.scripted import ScriptedServer

from .program import Done, Program, calm, served, wait_until

Serve = Callable[..., ScriptedServer]
LINE = "test/radiology --data notes --out out --no-progress --json"
WHOLE = {
    f"test/radiology/images/ROCO_{number:05}.jpg": data
    for number, data in enumerate(pictures(20, 3000).values(), start=1)
}


def there(program: Program) -> dict[str, bytes]:
    out = program.folder / "out"
    return {name: (out / name).read_bytes() for name in files_below(out)}


def as_nobody_special(program: Program) -> Done:
    """Carry out the command by a user whom permissions bind, whoever the tester is."""
    words = program.words(LINE)
    if os.geteuid() == 0:
        setpriv = shutil.which("setpriv")
        if setpriv is None:
            pytest.skip("util-linux's setpriv is not installed")
        words = [setpriv, "--bounding-set", "-dac_override,-dac_read_search", *words]
    done = subprocess.run(
        words, cwd=program.folder, env=program.settings, capture_output=True, text=True, timeout=30, check=False
    )
    if "setpriv:" in done.stderr:
        pytest.skip(f"no privilege can be given up here: {done.stderr.strip()}")
    return calm(Done(done.returncode, done.stdout, done.stderr, 0))


@pytest.mark.parametrize(
    "place", ["out", "out/test/radiology/images", "out/.roco/journal", "out/.roco", "out/test/radiology"]
)
def test_not_ours(place: str, program: Program, bucket: Serve) -> None:
    """A folder without the right to write, at any place: 5 and its name; with the right again the next run goes on."""
    bucket()
    locked = program.folder / place
    locked.mkdir(parents=True)
    locked.chmod(0o555)
    try:
        done = as_nobody_special(program)
    finally:
        locked.chmod(0o755)
    assert done.code == 5
    assert place in done.err
    assert "Permission denied" in done.err
    assert there(program).items() <= WHOLE.items()
    done = as_nobody_special(program)
    assert (done.code, done.json["fetched"] + done.json["skipped"]) == (0, 20)
    assert there(program) == WHOLE


def test_may_not_be_looked_at(program: Program, bucket: Serve) -> None:
    """An images folder that may not be read: 5 before any request."""
    server = bucket()
    locked = program.folder / "out/test/radiology/images"
    locked.mkdir(parents=True)
    locked.chmod(0o000)
    try:
        done = as_nobody_special(program)
    finally:
        locked.chmod(0o755)
    assert (done.code, server.requests) == (5, [])
    assert "images" in done.err


@pytest.mark.parametrize("place", ["out", "out/test/radiology/images", "out/.roco"])
def test_gone_in_the_middle(place: str, program: Program, bucket: Serve) -> None:
    """A folder that somebody removes in the middle: 5 or all the others, no hang, and the next run brings the rest."""
    server = bucket(Fault(Trickle(300, 0.02)))
    process = program.start(f"{LINE} -n 2")
    wait_until(lambda: served(server) >= 6 and (program.folder / place).is_dir())
    shutil.rmtree(program.folder / place, ignore_errors=True)
    done = calm(program.wait(process))
    assert done.code in (0, 5)
    assert done.code == 0 or "the disk refused" in done.err
    assert there(program).items() <= WHOLE.items()
    done = calm(program.run(LINE))
    assert (done.code, done.json["fetched"] + done.json["skipped"]) == (0, 20)
    assert there(program) == WHOLE


def test_a_folder_that_is_a_dangling_link(program: Program, bucket: Serve) -> None:
    """An `--out` that is a link to a disk that is not mounted: 5 and a sentence, and the link stays as it is."""
    bucket()
    (program.folder / "out").symlink_to(Path("unmounted") / "roco")
    done = calm(program.run(LINE))
    assert done.code == 5
    assert "the disk refused" in done.err
    assert (program.folder / "out").is_symlink()
