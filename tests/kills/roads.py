"""The roads that are killed on: each a small world of its own, slow enough to be found in the middle."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from hashlib import md5
from pathlib import Path
from typing import Final

from tests.cli.program import Program
from tests.faults.stage import picture
from tests.packages.stage import noise, path_of, write_split
from tests.servers.faults import Fault, Trickle, WrongByte
from tests.servers.ftp_servers import Vsftpd
from tests.servers.nginx import Nginx
from tests.servers.packages import packed
from tests.servers.scripted import ScriptedServer, in_thread

from .scene import OPTIONS, Deaf, Heard, HeardByNginx, HeardByVsftpd, Scene

GROUP: Final = "test/radiology"
LINE: Final = (GROUP, "--data", "notes", "--out", "out", *OPTIONS)
KEEP: Final = {False: (), True: ("-k", "kept")}
Road = Callable[[Path], AbstractContextManager[Scene]]
Numbers = range | list[int]


def name_of(number: int, letter: str = "a") -> str:
    """Return an image's name below `out`."""
    return f"{GROUP}/images/ROCO_{number:03}{letter}.jpg"


@cache
def content(number: int, letter: str = "a", size: int = 6000) -> bytes:
    return picture(f"{number}{letter}", size)


@cache
def package(number: int) -> bytes:
    """Return a package of 100 kB with two pictures near its end."""
    members = {f"PMC{number}/first.pdf": noise(80_000, number)}
    members |= {f"PMC{number}/{letter}.jpg": content(number, letter, 8000) for letter in "ab"}
    return packed(members | {f"PMC{number}/last.pdf": noise(4000, number + 1000)})


def images(numbers: Numbers, letters: str = "a", size: int = 6000) -> dict[str, bytes]:
    return {name_of(number, letter): content(number, letter, size) for number in numbers for letter in letters}


def objects(numbers: Numbers, size: int = 6000) -> dict[str, bytes]:
    """Return what a bucket holds of these articles."""
    return {f"PMC{number}.1/a.jpg": content(number, "a", size) for number in numbers}


def serves(numbers: Numbers) -> dict[str, frozenset[str]]:
    """Return what the objects of a bucket bring."""
    return {f"PMC{number}.1/a.jpg": frozenset({name_of(number)}) for number in numbers}


def packages(numbers: Numbers) -> dict[str, bytes]:
    return {path_of(number): package(number) for number in numbers}


def unpacks(numbers: Numbers) -> dict[str, frozenset[str]]:
    """Return what packages bring."""
    return {path_of(number): frozenset(images([number], "ab")) for number in numbers}


def place(folder: Path, numbers: Numbers, letters: str = "a") -> Program:
    """Write the annotations into a folder."""
    rows = [(Path(name_of(n, letter)).stem, path_of(n), f"{letter}.jpg") for n in numbers for letter in letters]
    write_split(folder / "notes", GROUP, rows)
    (folder / "home").mkdir()
    return Program(folder)


@contextmanager
def cloud(folder: Path, *, slow_disk: bool = False) -> Iterator[Scene]:
    """Images from a bucket that trickles."""
    numbers = range(1, 33)
    server = ScriptedServer(objects(numbers), Fault(Trickle(1500, 0.025)))
    with in_thread(server):
        words = (*LINE, "--cloud-url", server.base)
        yield Scene(
            place(folder, numbers), words, images(numbers), serves(numbers), Heard(server), ((words, 0),),
            calm_down=server.script.clear, slow_disk=slow_disk,
        )  # fmt: skip


@contextmanager
def cloud_slow_disk(folder: Path) -> Iterator[Scene]:
    """The same, with a disk that takes little at a time: lines of the journal and images are torn in their middle."""
    with cloud(folder, slow_disk=True) as scene:
        yield scene


@contextmanager
def nginx(folder: Path) -> Iterator[Scene]:
    """Images of 90 kB from nginx, which answers 30 requests a second."""
    numbers, size = range(1, 25), 90_000
    held = objects(numbers, size)
    for key, body in held.items():
        (folder / "bucket" / key).parent.mkdir(parents=True)
        (folder / "bucket" / key).write_bytes(body)
    etags = {key: md5(body).hexdigest() for key, body in held.items()}
    rate, slow = "limit_req_zone $server_port zone=slow:1m rate=30r/s;", "limit_req zone=slow burst=200;"
    with Nginx(folder / "bucket", folder / "nginx", etags=etags, extra=slow, http_extra=rate) as server:
        words = (*LINE, "--cloud-url", server.base)
        yield Scene(
            place(folder, numbers), words, images(numbers, size=size), serves(numbers), HeardByNginx(server),
            ((words, 0),),
        )  # fmt: skip


@contextmanager
def http(folder: Path, *, keep: bool = False) -> Iterator[Scene]:
    """Packages from a mirror that trickles."""
    numbers = range(1, 13)
    held = packages(numbers)
    server = ScriptedServer(held, Fault(Trickle(8000, 0.02)))
    with in_thread(server):
        words = (*LINE, *KEEP[keep], "--source", "packages", "--packages-url", server.base)
        yield Scene(
            place(folder, numbers, "ab"), words, images(numbers, "ab", 8000), unpacks(numbers), Heard(server),
            ((words, 0),), calm_down=server.script.clear, kept=held if keep else {},
        )  # fmt: skip


@contextmanager
def http_kept(folder: Path) -> Iterator[Scene]:
    """The same with `-k`: a package that was begun goes on at its byte."""
    with http(folder, keep=True) as scene:
        yield scene


@contextmanager
def http_kept_slow_disk(folder: Path) -> Iterator[Scene]:
    """The same with a disk that is slow to open, to name and to remove."""
    with http(folder, keep=True) as scene:
        scene.slow_disk = True
        yield scene


@contextmanager
def ftp(folder: Path, *, keep: bool = False) -> Iterator[Scene]:
    """Packages from vsftpd, at 500 kB/s a connection."""
    numbers = range(1, 13)
    held = packages(numbers)
    _write(folder / "mirror", held)
    slow = "anon_max_rate=500000\ntrans_chunk_size=8192"
    with Vsftpd(folder / "mirror", folder / "vsftpd", extra=slow) as server:
        words = (*LINE, *KEEP[keep], "--source", "packages", "--packages-url", server.url(""))
        yield Scene(
            place(folder, numbers, "ab"), words, images(numbers, "ab", 8000), unpacks(numbers),
            HeardByVsftpd(server, folder / "vsftpd"), ((words, 0),), kept=held if keep else {},
        )  # fmt: skip


@contextmanager
def ftp_kept(folder: Path) -> Iterator[Scene]:
    """The same with `-k`: REST at the byte."""
    with ftp(folder, keep=True) as scene:
        yield scene


@contextmanager
def from_folder(folder: Path) -> Iterator[Scene]:
    """Packages from a folder, with a slow disk to write to."""
    numbers = range(1, 31)
    _write(folder / "mirror", packages(numbers))
    words = (*LINE, "--source", "packages", "--packages-url", (folder / "mirror").as_uri())
    yield Scene(
        place(folder, numbers, "ab"), words, images(numbers, "ab", 8000), unpacks(numbers), Deaf(), ((words, 0),),
        slow_disk=True,
    )  # fmt: skip


@contextmanager
def both(folder: Path) -> Iterator[Scene]:
    """Half of the images from the bucket, the others in a second pass from a mirror."""
    first, second = range(1, 11), range(11, 21)
    everything = [*first, *second]
    bucket = ScriptedServer(objects(first), Fault(Trickle(2000, 0.02)))
    mirror = ScriptedServer({path_of(n): packed_one(n) for n in second}, Fault(Trickle(8000, 0.015)))

    def calm_down() -> None:
        bucket.script.clear()
        mirror.script.clear()

    with in_thread(bucket), in_thread(mirror):
        sources = ("--source", "cloud", "--cloud-url", bucket.base)
        words = (*LINE, *sources, "--source", "packages", "--packages-url", mirror.base)
        brings = serves(first) | {path_of(n): frozenset({name_of(n)}) for n in second}
        yield Scene(
            place(folder, everything), words, images(everything), brings, Heard(bucket, mirror), ((words, 0),),
            calm_down=calm_down,
        )  # fmt: skip


@cache
def packed_one(number: int) -> bytes:
    return packed({f"PMC{number}/first.pdf": noise(60_000, number), f"PMC{number}/a.jpg": content(number)})


@contextmanager
def retry(folder: Path) -> Iterator[Scene]:
    """The verb `retry`, after a run in which three images of four came damaged."""
    numbers = range(1, 33)
    bad = [number for number in numbers if number % 4]
    faults = [Fault(WrongByte(500), on=f"PMC{number}.1/*") for number in bad]
    server = ScriptedServer(objects(numbers), *faults)
    with in_thread(server):
        line = (*LINE, "--cloud-url", server.base)
        words = ("retry", *line)
        scene = Scene(
            place(folder, numbers), words, images(numbers), serves(numbers), Heard(server),
            ((words, 0), (line, 0)), calm_down=server.script.clear,
        )  # fmt: skip
        assert scene.run((*line, "-r", "1")).code == 4
        server.script.clear()
        server.requests.clear()
        server.script.add(Fault(Trickle(1500, 0.025)))
        yield scene


@contextmanager
def verify(folder: Path) -> Iterator[Scene]:
    """The verb `verify`, over files of which two are damaged; a fetch then mends these two."""
    numbers, size = range(1, 41), 400_000
    server = ScriptedServer(objects(numbers, size))
    with in_thread(server):
        line = (*LINE, "--cloud-url", server.base)
        words = ("verify", *line)
        spoilt = frozenset({name_of(3), name_of(30)})
        scene = Scene(
            place(folder, numbers), words, images(numbers, size=size), serves(numbers), Heard(server),
            ((words, 4), (line, 0), (words, 0)), spoilt=spoilt,
        )  # fmt: skip
        assert scene.run(line).code == 0
        for name in spoilt:
            body = bytearray(scene.wanted[name])
            body[size // 2] ^= 1
            (scene.out / name).write_bytes(body)
        server.requests.clear()
        yield scene


def _write(folder: Path, files: dict[str, bytes]) -> None:
    for name, body in files.items():
        with contextlib.suppress(FileExistsError):
            (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(body)


ROADS: Final[dict[str, Road]] = {
    "cloud": cloud,
    "cloud, slow disk": cloud_slow_disk,
    "cloud, nginx": nginx,
    "packages, HTTP": http,
    "packages, HTTP, -k": http_kept,
    "packages, HTTP, -k, slow disk": http_kept_slow_disk,
    "packages, FTP": ftp,
    "packages, FTP, -k": ftp_kept,
    "packages, folder, slow disk": from_folder,
    "cloud, then packages": both,
    "retry": retry,
    "verify": verify,
}
