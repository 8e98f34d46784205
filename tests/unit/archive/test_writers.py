"""Packages as real programs write them. Debian: tar, libarchive-tools, busybox, pigz, tabix (bgzip), 7zip, gzip."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from roco_async.archive.events import MemberType

from .decoding import Read, cut, gunzipped, untarred

SHORT = {
    "PMC1/empty.txt": 0,
    "PMC1/one.jpg": 1,
    "PMC1/block.jpg": 512,
    "PMC1/over.jpg": 513,
    "PMC1/figure-g001.jpg": 300_001,
    "PMC1/größe 漢.jpg": 1024,
}
# Over 100 bytes, which v7 cannot say, and beyond the 256 of ustar.
PREFIXED = SHORT | {f"PMC1/{'d' * 90}/{'n' * 60}.jpg": 700}
LONG = PREFIXED | {f"PMC1/{'d' * 200}/{'n' * 200}.jpg": 800}


def program(*names: str) -> str:
    """Return the first of these programs that is there; else skip, or fail where all have to be (CI=true)."""
    for name in names:
        if path := shutil.which(name):
            return path
    reason = f"{names[0]} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def run(*command: str | Path, cwd: Path) -> bytes:
    done = subprocess.run(command, cwd=cwd, check=True, capture_output=True, env=os.environ | {"LC_ALL": "C.UTF-8"})
    return done.stdout


def plant(root: Path, sizes: dict[str, int]) -> dict[str, bytes]:
    """Write files below root; return name to content."""
    contents = {name: random.Random(name).randbytes(size) for name, size in sizes.items()}
    for name, content in contents.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return contents


def plant_oddities(root: Path, *, fifo: bool) -> None:
    (root / "PMC1" / "symlink.jpg").symlink_to("one.jpg")
    (root / "PMC1" / "zlink.jpg").hardlink_to(root / "PMC1" / "one.jpg")
    if fifo:
        os.mkfifo(root / "PMC1" / "fifo")


def files(read: list[Read]) -> dict[str, bytes | None]:
    return {member.name: data for member, data in read if member.type is MemberType.FILE}


def decoded(coded: bytes) -> list[Read]:
    """Decode all at once and in chunks of 997 bytes, and hold one against the other."""
    read = untarred([gunzipped([coded])])
    stream = gunzipped(cut(coded, range(997, len(coded), 997)))
    assert untarred(cut(stream, range(997, len(stream), 997))) == read
    return read


def gnu_tar(root: Path, form: str, *options: str) -> bytes:
    return run(program("tar"), f"--format={form}", *options, "-czf", "-", "PMC1", cwd=root)


def bsdtar(root: Path, form: str) -> bytes:
    return run(program("bsdtar"), f"--format={form}", "-czf", "-", "PMC1", cwd=root)


def busybox(root: Path, _: str) -> bytes:
    return run(program("busybox"), "tar", "-czf", "-", "PMC1", cwd=root)


WRITERS: dict[str, tuple[Callable[[Path, str], bytes], str, dict[str, int]]] = {
    "tar --format=v7": (gnu_tar, "v7", SHORT),
    "tar --format=oldgnu": (gnu_tar, "oldgnu", LONG),
    "tar --format=gnu": (gnu_tar, "gnu", LONG),
    "tar --format=ustar": (gnu_tar, "ustar", PREFIXED),
    "tar --format=posix": (gnu_tar, "posix", LONG),
    "bsdtar --format=v7": (bsdtar, "v7", SHORT),
    "bsdtar --format=ustar": (bsdtar, "ustar", PREFIXED),
    "bsdtar --format=gnutar": (bsdtar, "gnutar", LONG),
    "bsdtar --format=pax": (bsdtar, "pax", LONG),
    "busybox tar": (busybox, "", LONG),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_tar(writer: str, tmp_path: Path) -> None:
    """Each writer's package gives every file by its name with its bytes, and links and fifos by their types."""
    write, form, sizes = WRITERS[writer]
    contents = plant(tmp_path, sizes)
    # v7 cannot say fifo; GNU tar's exit code then is an error.
    plant_oddities(tmp_path, fifo=form != "v7")
    read = decoded(write(tmp_path, form))
    by_name = {member.name: member for member, _ in read}
    types = {name: member.type for name, member in by_name.items()}
    assert types["PMC1"] is MemberType.DIRECTORY
    assert types["PMC1/symlink.jpg"] is MemberType.SYMLINK
    assert by_name["PMC1/symlink.jpg"].linkname == "one.jpg"
    # Which of two hard-linked names is the file and which the link is the folder's order.
    linked = {"PMC1/one.jpg", "PMC1/zlink.jpg"}
    assert sorted(types[name] for name in linked) == [MemberType.FILE, MemberType.LINK]
    assert (types.get("PMC1/fifo") is MemberType.FIFO) == (form != "v7")
    assert {name: data for name, data in files(read).items() if name not in linked} == {
        name: data for name, data in contents.items() if name not in linked
    }
    assert [data for member, data in read if member.name in linked and data] == [contents["PMC1/one.jpg"]]


@pytest.mark.parametrize(
    "options",
    [
        ["gnu"],
        ["posix", "--sparse-version=0.0"],
        ["posix", "--sparse-version=0.1"],
        ["posix", "--sparse-version=1.0"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("islands", [2, 60])
def test_gnu_tar_sparse(options: list[str], islands: int, tmp_path: Path) -> None:
    """A sparse file has its type and its own name, with a short map or a long one, and the file after it is whole."""
    contents = plant(tmp_path, {"PMC1/z.jpg": 700})
    with open(tmp_path / "PMC1" / "holes.jpg", "wb") as holes:
        for island in range(islands):
            holes.seek(island * 65536 * 4)
            holes.write(b"island" * 700)
    form, *more = options
    read = decoded(gnu_tar(tmp_path, form, "--sparse", "--hole-detection=raw", "--sort=name", *more))
    sparse = {member.name for member, _ in read if member.type is MemberType.SPARSE}
    assert sparse == {"PMC1/holes.jpg"}
    assert files(read) == contents


def test_bsdtar_sparse(tmp_path: Path) -> None:
    """libarchive's sparse files in pax are told as such too."""
    tar = program("bsdtar")
    contents = plant(tmp_path, {"PMC1/z.jpg": 700})
    with open(tmp_path / "PMC1" / "holes.jpg", "wb") as holes:
        holes.write(b"x" * 5000)
        holes.seek(10 << 20)
        holes.write(b"y" * 5000)
    if (tmp_path / "PMC1" / "holes.jpg").stat().st_blocks > 1000:
        pytest.skip("this file system makes no holes")
    read = decoded(run(tar, "--format=pax", "--read-sparse", "-czf", "-", "PMC1", cwd=tmp_path))
    assert {member.name for member, _ in read if member.type is MemberType.SPARSE} == {"PMC1/holes.jpg"}
    assert files(read) == contents


def test_gnu_tar_incremental(tmp_path: Path) -> None:
    """An incremental archive has times where ustar has its prefix, and lists of folders as a type of their own."""
    contents = plant(tmp_path, SHORT)
    read = decoded(gnu_tar(tmp_path, "gnu", "--listed-incremental=snapshot"))
    assert files(read) == contents
    assert {member.type for member, _ in read} == {MemberType.FILE, MemberType.UNKNOWN}


def test_gnu_tar_label(tmp_path: Path) -> None:
    """A volume label is no file."""
    contents = plant(tmp_path, SHORT)
    for form in ("gnu", "posix"):
        assert files(decoded(gnu_tar(tmp_path, form, "--label=oa_package"))) == contents


COMPRESSORS = {
    "gzip -1": (["gzip"], ["-1c"]),
    "gzip -9": (["gzip"], ["-9c"]),
    "pigz": (["pigz"], ["-p", "2", "-b", "128", "-c"]),
    "pigz -0": (["pigz"], ["-0c"]),
    "pigz, independent blocks": (["pigz"], ["-i", "-b", "128", "-c"]),
    "bgzip": (["bgzip"], ["-c"]),
    "bgzip -l 0": (["bgzip"], ["-l", "0", "-c"]),
    "busybox gzip": (["busybox"], ["gzip", "-c"]),
}


@pytest.mark.parametrize("compressor", COMPRESSORS)
def test_gzip(compressor: str, tmp_path: Path) -> None:
    """Each compressor's stream is decoded and checked to its end: one member, several, blocked, stored."""
    names, options = COMPRESSORS[compressor]
    command = [program(*names), *options, "package.tar"]
    contents = plant(tmp_path, LONG)
    run(program("tar"), "--format=posix", "-cf", "package.tar", "PMC1", cwd=tmp_path)
    assert files(decoded(run(*command, cwd=tmp_path))) == contents


def test_gzip_after_gzip(tmp_path: Path) -> None:
    """Packages of several compressors joined by cat are one stream."""
    contents = plant(tmp_path, SHORT)
    stream = run(program("tar"), "-cf", "-", "PMC1", cwd=tmp_path)
    parts = [stream[:100_000], stream[100_000:200_000], stream[200_000:]]
    joined = b""
    for part, command in zip(parts, (["gzip", "-c"], ["pigz", "-c"], ["bgzip", "-c"]), strict=True):
        (tmp_path / "part").write_bytes(part)
        joined += run(program(command[0]), *command[1:], "part", cwd=tmp_path)
    assert files(decoded(joined)) == contents


def test_seven_zip(tmp_path: Path) -> None:
    """7-Zip's tar in its gzip, which carries the tar's name, is read."""
    seven_zip = program("7zz", "7z", "7za")
    contents = plant(tmp_path, LONG)
    run(seven_zip, "a", "-ttar", "package.tar", "PMC1", cwd=tmp_path)
    run(seven_zip, "a", "-tgzip", "package.tgz", "package.tar", cwd=tmp_path)
    assert files(decoded((tmp_path / "package.tgz").read_bytes())) == contents
