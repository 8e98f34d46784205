"""Exit codes and words, each by the command line that brings them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cancel.stage import pictures, write_annotations
from tests.faults.stage import files_below
from tests.servers.faults import Fault, html_page, status
from tests.servers.ports import free_port
from tests.servers.scripted import ScriptedServer

from .program import Program, calm

Serve = Callable[..., ScriptedServer]
KEYS = {"requested", "fetched", "skipped", "failed", "bytes", "elapsed", "reasons"}
PLACE = "test/radiology/images/ROCO_{:05}.jpg"


def whole(out: Path, count: int = 20, size: int = 3000) -> bool:
    expect = pictures(count, size)
    return files_below(out) == {PLACE.format(number) for number in range(1, count + 1)} and all(
        (out / PLACE.format(number)).read_bytes() == expect[f"PMC{number}.1/a.jpg"] for number in range(1, count + 1)
    )


def test_fetch_json(program: Program, bucket: Serve) -> None:
    """`fetch test/radiology --data notes --out out --json`: 0, one line of JSON on stdout, files where they belong."""
    server = bucket()
    done = calm(program.run("fetch test/radiology --data notes --out out --json"))
    account = done.json
    assert done.code == 0
    assert account.keys() == KEYS
    elapsed = account.pop("elapsed")
    assert 0 < elapsed < done.seconds
    counts = {"requested": 20, "fetched": 20, "skipped": 0, "failed": 0, "bytes": 60_000, "reasons": {}}
    assert account == counts
    assert whole(program.folder / "out")
    assert len(server.requests) == 20
    assert "roco" in server.requests[0].headers["user-agent"].lower()
    assert "http" in server.requests[0].headers["user-agent"], "an honest User-Agent has the project's URL"


def test_a_second_run_asks_for_nothing(program: Program, bucket: Serve) -> None:
    """`test --data notes --out out` twice: the second run makes no request, skips all, and exits 0."""
    server = bucket()
    assert program.run("test/radiology --data notes --out out").code == 0
    server.requests.clear()
    done = calm(program.run("test/radiology --data notes --out out --json"))
    assert (done.code, server.requests) == (0, [])
    assert (done.json["skipped"], done.json["fetched"], done.json["bytes"]) == (20, 0, 0)
    assert whole(program.folder / "out")


def test_what_is_lacking_is_asked_for_and_no_more(program: Program, bucket: Serve) -> None:
    """Two files deleted, two cut short and one made longer: exactly those five are asked for."""
    server = bucket()
    program.run("test/radiology --data notes --out out")
    for number in (1, 2):
        (program.folder / "out" / PLACE.format(number)).unlink()
    for number in (3, 4):
        os.truncate(program.folder / "out" / PLACE.format(number), 1000)
    with (program.folder / "out" / PLACE.format(5)).open("ab") as file:
        file.write(b"more")
    server.requests.clear()
    done = calm(program.run("test/radiology --data notes --out out --json"))
    assert sorted(one.key for one in server.requests) == [f"PMC{number}.1/a.jpg" for number in range(1, 6)]
    assert (done.code, done.json["fetched"], done.json["skipped"]) == (0, 5, 15)
    assert whole(program.folder / "out")


def test_data_only(program: Program, bucket: Serve) -> None:
    """`--data notes`, as with fetch.py: the images lie beside the annotations."""
    bucket()
    done = calm(program.run("test/radiology --data notes"))
    assert done.code == 0
    folder = program.folder / "notes/test/radiology"
    assert len(list((folder / "images").glob("*.jpg"))) == 20
    assert len(list(folder.glob("*.txt"))) == 6


def test_without_data_here(program: Program, bucket: Serve) -> None:
    """`test/radiology` in a folder that has `data`: it is used, and the images go into it."""
    server = bucket()
    (program.folder / "notes").rename(program.folder / "data")
    done = calm(program.run("test/radiology --json"))
    assert (done.code, done.json["fetched"]) == (0, 20)
    assert all("tar.gz" not in one.key for one in server.requests)
    assert (program.folder / "data" / PLACE.format(1)).is_file()


def test_missing_for_good(program: Program, bucket: Serve) -> None:
    """One image that is in no version: 3, with the reason in JSON, and all others there."""
    bucket(Fault(status(404), on="PMC7.1/*"))
    done = calm(program.run("test/radiology --data notes --out out --json"))
    assert (done.code, done.json["reasons"]) == (3, {"NOT_FOUND": 1})
    assert len(files_below(program.folder / "out")) == 19


def test_missing_for_now(program: Program, bucket: Serve) -> None:
    """One image that fails and one that is lost: 4, as a temporary failure remains."""
    bucket(Fault(status(404), on="PMC7.1/*"), Fault(status(500), on="PMC8.1/*"))
    done = calm(program.run("test/radiology --data notes --out out --json"))
    assert (done.code, done.json["reasons"]) == (4, {"NOT_FOUND": 1, "SERVER_ERROR": 1})


def test_a_server_that_is_down(program: Program) -> None:
    """`--cloud-url` of a closed port: 4, soon, and in words that name no Python."""
    line = f"test/radiology --data notes --out out --cloud-url http://127.0.0.1:{free_port()}/"
    done = calm(program.run(line, ("-r", "2")))
    assert done.code == 4
    assert done.seconds < 8
    assert "20" in done.out + done.err


def test_eight_thousand_records_and_no_server(program: Program, roco_data: Path) -> None:
    """All 8,175 of test/radiology from a host that never answered: 4 within seconds, after as many probes as tries."""
    port = free_port()
    line = f"test/radiology --data {roco_data} --out out --cloud-url http://127.0.0.1:{port}/ --json"
    done = calm(program.run(line, ("-r", "2", "--no-progress")))
    assert done.code == 4
    assert done.json["failed"] > 8000
    assert done.json["reasons"].keys() <= {"UNREACHABLE", "HOST_DOWN"}
    assert done.seconds < 15


def test_summary_says_success(program: Program, bucket: Serve) -> None:
    """A run without `--json` says in words that all is there."""
    bucket()
    done = calm(program.run("test/radiology --data notes --out out"))
    assert done.code == 0
    assert "20" in done.out
    assert "Traceback" not in done.out


def test_summary_says_what_is_missing(program: Program, bucket: Serve) -> None:
    """A run with losses names the reason, how many, and the command to go on with."""
    bucket(Fault(status(500), on="PMC8.1/*"))
    done = calm(program.run("test/radiology --data notes --out out"))
    assert done.code == 4
    assert "SERVER_ERROR" in done.out or "server failed" in done.out
    assert "roco_async" in done.out
    assert "test/radiology" in done.out
    assert "--out out" in done.out


def test_quiet(program: Program, bucket: Serve) -> None:
    """`-q`: not a byte on stdout or stderr where all went well."""
    bucket()
    done = program.run("test/radiology --data notes --out out -q")
    assert (done.code, done.out, done.err) == (0, "", "")


def test_quiet_says_failures(program: Program, bucket: Serve) -> None:
    """`-q` with a loss still says so."""
    bucket(Fault(status(404), on="PMC7.1/*"))
    done = calm(program.run("test/radiology --data notes --out out -q"))
    assert done.code == 3
    assert done.out + done.err != ""


def test_no_progress(program: Program, bucket: Serve) -> None:
    """`--no-progress`: no bar, no carriage return and no escape on stderr."""
    bucket()
    done = calm(program.run("test/radiology --data notes --out out --no-progress --json"))
    assert (done.code, done.err) == (0, "")


def test_verbose_names_failures(program: Program, bucket: Serve) -> None:
    """`-v`: each missing image is named with its reason on stderr."""
    bucket(Fault(status(404), on="PMC7.1/*"), Fault(html_page(), on="PMC8.1/*"))
    done = calm(program.run("test/radiology --data notes --out out -v --json"))
    assert done.code == 4
    assert "ROCO_00007" in done.err
    assert "NOT_FOUND" in done.err
    assert "ROCO_00008" in done.err
    assert "DAMAGED" in done.err
    assert "ROCO_00009" not in done.err


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
@pytest.mark.parametrize("options", ["size=64k", "size=1m,ro"])
def test_a_disk_that_refuses(options: str, program: Program, bucket: Serve) -> None:
    """A full and a read-only disk: 5, a sentence without a traceback, no torn file."""
    bucket(size=20_000)
    disk = program.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"mounting a tmpfs is not allowed here: {mounted.stderr.decode().strip()}")
    try:
        done = calm(program.run("test/radiology --data notes --out disk --json"))
        expect = pictures(20, 20_000)
        for name in files_below(disk):
            number = int(Path(name).stem.removeprefix("ROCO_"))
            assert (disk / name).read_bytes() == expect[f"PMC{number}.1/a.jpg"], name
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
    assert done.code == 5
    assert done.json["fetched"] < 20
    assert "disk" in done.err


def test_few_descriptors(program: Program, bucket: Serve) -> None:
    """`ulimit -n 48`: all 200 images come, and fewer connections are said to be used."""
    bucket(count=200)
    write_annotations(program.folder / "many", 200)
    words = program.words("test/radiology --data many --out out --json")
    shell = ["sh", "-c", 'ulimit -n 48; exec "$@"', "sh", *words]
    done = subprocess.run(
        shell, cwd=program.folder, env=program.settings, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "48" in done.stderr
    assert whole(program.folder / "out", 200)


def test_silent_under_x_dev(program: Program, bucket: Serve) -> None:
    """`python -X dev -W error -m roco_async` says nothing of forgotten sockets, tasks and files."""
    bucket(Fault(status(404), on="PMC7.1/*"), Fault(status(503), every=5))
    done = calm(
        program.run("test/radiology --data notes --out out --no-progress --json", flags=("-X", "dev", "-W", "error"))
    )
    assert (done.code, done.err) == (3, "")
