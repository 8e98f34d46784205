"""Getting the annotations, once, from a place that may be wrong."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.faults import Behaviour, Cut, Fault, Reset, html_page, redirect, status
from tests.servers.scripted import ScriptedServer, in_thread

from .program import Program, calm

Serve = Callable[..., ScriptedServer]
TOP = "roco-dataset-a1f0ad6"
LINE = "validation/non-radiology --out out --limit 5 --json"


@pytest.fixture(scope="module")
def files(roco_data: Path) -> dict[str, bytes]:
    """The real annotations of three groups, which are enough for a tarball."""
    groups = ("validation/non-radiology", "test/non-radiology", "train/non-radiology")
    return {
        f"data/{group}/{path.name}": path.read_bytes()
        for group in groups
        for path in sorted((roco_data / group).glob("*.txt"))
    }


def tarball(files: dict[str, bytes], *, level: int = 1) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz", compresslevel=level) as archive:
        for name, data in {"README.md": b"# ROCO", "scripts/fetch.py": b"import os", **files}.items():
            member = tarfile.TarInfo(f"{TOP}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return made.getvalue()


@contextmanager
def offered(data: bytes, *faults: Fault) -> Iterator[tuple[ScriptedServer, str]]:
    server = ScriptedServer({"roco.tar.gz": data}, *faults)
    with in_thread(server):
        yield server, f"--annotations-url {server.url('roco.tar.gz')}"


def cached(program: Program) -> list[str]:
    return sorted(str(path.relative_to(program.folder)) for path in (program.folder / "cache").rglob("*.txt"))


def test_once(program: Program, bucket: Serve, files: dict[str, bytes]) -> None:
    """The tarball is fetched once, its files are kept, and images go to ./data; the second run does not ask again."""
    bucket()
    with offered(tarball(files)) as (server, flag):
        first = calm(program.run(f"validation/non-radiology --limit 5 --json {flag}"))
        second = calm(program.run(f"test/non-radiology --limit 5 --dry-run --json {flag}"))
    assert [one.status for one in server.requests] == [200]
    assert first.code in (3, 4)  # the bucket has none of the real images
    assert first.json["requested"] == 5
    assert second.json["images"] == 5
    assert len(cached(program)) == len(files)
    assert not (program.folder / "data").exists() or not list((program.folder / "data").rglob("*.txt"))


def test_dry_run_fetches_none(program: Program, files: dict[str, bytes]) -> None:
    """`--dry-run` without annotations makes no request, and says what it would do."""
    with offered(tarball(files)) as (server, flag):
        done = calm(program.run(f"validation --dry-run {flag}"))
    assert done.code == 0
    assert server.connections == 0
    assert "annotations" in done.out


@pytest.mark.parametrize(
    ("group", "name"), [("validation/non-radiology", "dlinks.txt"), ("test/non-radiology", "captions.txt")]
)
def test_tampered(group: str, name: str, program: Program, files: dict[str, bytes]) -> None:
    """One byte of one file is another one, of the wanted group or not: 4, the file named, nothing kept."""
    path = f"data/{group}/{name}"
    data = bytearray(files[path])
    data[100] ^= 1
    with offered(tarball({**files, path: bytes(data)})) as (_, flag):
        done = calm(program.run(f"{LINE} {flag}"))
    assert done.code == 4
    assert path in done.err
    assert cached(program) == []
    assert not (program.folder / "out").exists()


def test_a_group_that_is_lacking_and_not_wanted(program: Program, bucket: Serve, files: dict[str, bytes]) -> None:
    """A tarball without another group serves the wanted one."""
    bucket()
    some = {name: data for name, data in files.items() if "validation" in name}
    with offered(tarball(some)) as (_, flag):
        done = calm(program.run(f"{LINE} {flag}"))
    assert done.json["requested"] == 5


def test_a_group_that_is_lacking_and_wanted(program: Program, files: dict[str, bytes]) -> None:
    """A tarball without the named group: no success, in words that name it, and a better tarball mends it."""
    some = {name: data for name, data in files.items() if "validation" not in name}
    with offered(tarball(some)) as (_, flag):
        lacking = calm(program.run(f"{LINE} {flag}"))
    assert lacking.code in (2, 4)
    assert "validation/non-radiology" in lacking.err
    with offered(tarball(files)) as (server, flag):
        mended = calm(program.run(f"{LINE} {flag} --dry-run"))
        assert mended.code == 0
        mended = calm(program.run(f"{LINE} {flag}"))
    assert len(server.requests) == 1
    assert mended.json["requested"] == 5


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: data[:-4], lambda data: data[:-9], lambda data: data[:0],
     lambda data: b"not gzip at all" + data, lambda data: data[:5000] + bytes([data[5000] ^ 255]) + data[5001:]],
    ids=["half", "no size", "no CRC", "empty", "no gzip", "one byte"],
)  # fmt: skip
def test_a_damaged_tarball(damage: Callable[[bytes], bytes], program: Program, files: dict[str, bytes]) -> None:
    """A tarball that is cut or damaged: 4, and nothing is kept."""
    with offered(damage(tarball(files))) as (server, flag):
        done = calm(program.run(f"{LINE} {flag}"))
        assert len(server.requests) <= 3
    assert done.code == 4
    assert cached(program) == []


@pytest.mark.parametrize(
    "does", [status(404), status(403), status(500), html_page(), Reset(), redirect("file:///etc/passwd")], ids=str
)
def test_a_place_that_is_wrong(does: Behaviour, program: Program, files: dict[str, bytes]) -> None:
    """404, 403, 500, a web page, a reset: 4, soon, in words that name the URL and a way out."""
    with offered(tarball(files), Fault(does)) as (server, flag):
        done = calm(program.run(f"{LINE} {flag}"))
        assert len(server.requests) <= (6 if isinstance(does, Reset) else 3)
    assert done.code == 4
    assert "roco.tar.gz" in done.err
    assert "--annotations-url" in done.err
    assert cached(program) == []


def test_a_cut_is_resumed(program: Program, bucket: Serve, files: dict[str, bytes]) -> None:
    """A transfer of the tarball that breaks goes on at its byte."""
    bucket()
    with offered(tarball(files), Fault(Cut(50_000), nth=1)) as (server, flag):
        done = calm(program.run(f"{LINE} {flag}"))
    assert [one.status for one in server.requests] == [200, 206]
    assert done.json["requested"] == 5


def test_a_redirect_is_followed(program: Program, bucket: Serve, files: dict[str, bytes]) -> None:
    """GitHub sends its archives from another host: a redirect is followed."""
    bucket()
    with offered(tarball(files)) as (server, flag):
        server.bucket.put("old.tar.gz", b"")
        server.script.add(Fault(redirect("/roco.tar.gz"), on="old.tar.gz"))
        done = calm(program.run(f"{LINE} {flag.replace('/roco.', '/old.')}"))
    assert done.json["requested"] == 5


def test_no_cache_folder(program: Program, files: dict[str, bytes]) -> None:
    """A cache folder that cannot be made: 5, in words, without a traceback."""
    (program.folder / "cache").write_bytes(b"mine")
    with offered(tarball(files)) as (_, flag):
        done = calm(program.run(f"{LINE} {flag}"))
    assert done.code == 5
    assert (program.folder / "cache").read_bytes() == b"mine"


@pytest.mark.parametrize(
    "name", [f"../../{TOP}-out", "/etc/roco", f"{TOP}/data/../../x/data/test/radiology/dlinks.txt"]
)
def test_a_member_that_climbs(name: str, program: Program, bucket: Serve, files: dict[str, bytes]) -> None:
    """A member with a path out of the cache is never written."""
    bucket()
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for path, data in {name: b"evil", **{f"{TOP}/{path}": data for path, data in files.items()}}.items():
            member = tarfile.TarInfo(path)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    with offered(made.getvalue()) as (_, flag):
        calm(program.run(f"{LINE} {flag}"))
    found = [path for path in program.folder.rglob("*") if path.is_file() and path.read_bytes() == b"evil"]
    assert found == []


def test_the_real_rows_come_out(program: Program, files: dict[str, bytes]) -> None:
    """The count of a fetched group is that of its dlinks."""
    with offered(tarball(files)) as (_, flag):
        calm(program.run(f"{LINE} {flag} -q"))
        done = calm(program.run(f"validation/non-radiology {flag} --dry-run --json"))
    rows = files["data/validation/non-radiology/dlinks.txt"].count(b"\n")
    assert json.loads(done.out)["images"] == rows
