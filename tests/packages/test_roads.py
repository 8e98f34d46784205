"""Forty packages from each kind of mirror: every byte right, and each package asked for once."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from roco_async import Fetcher, ImageRecord, Status
from tests.servers.ftp_servers import Pyftpdlib, Vsftpd
from tests.servers.nginx import Nginx
from tests.servers.packages import DrawnMirror
from tests.servers.scripted import ScriptedServer
from tests.servers.scripted_ftp import ScriptedFtp

from .stage import command, content, fetch, files_below, package, path_of, record, settings, write_split

FILLERS: Final = (20_000, 60_000, 150_000, 400_000)


@pytest.fixture(scope="module")
def wanted() -> list[ImageRecord]:
    """Sixty pictures of forty articles, so ordered that no two of one article follow one another."""
    names = [
        (number, f"fig{figure}.jpg") for figure in (1, 2, 3) for number in range(1, 41) if number % 4 or figure == 1
    ]
    return [record(number, name) for number, name in names if name == "fig1.jpg" or number % 3 == 0]


@pytest.fixture(scope="module")
def mirror(wanted: list[ImageRecord], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DrawnMirror]:
    drawn = DrawnMirror(wanted, fillers=FILLERS)
    folder = tmp_path_factory.mktemp("mirror")
    drawn.write(folder)
    return folder, drawn


@pytest.mark.parametrize("road", ["nginx", "file", "vsftpd", "pyftpdlib"])
async def test_forty_packages(
    road: str, wanted: list[ImageRecord], mirror: tuple[Path, DrawnMirror], tmp_path: Path
) -> None:
    """Every picture has the md5 that it was packed with, and no package is asked for twice."""
    folder, drawn = mirror
    assert len(drawn.articles) == 40
    with ExitStack() as stack:
        counts: Callable[[], Counter[str]] = lambda: Counter(drawn.articles.keys())  # noqa: E731 - a folder counts nothing
        if road == "nginx":
            server = stack.enter_context(Nginx(folder, tmp_path / "nginx", base_path="/"))
            base, counts = server.base, lambda: server.counts(40)
        elif road == "file":
            base = folder.as_uri()
        elif road == "vsftpd":
            real = stack.enter_context(Vsftpd(folder, tmp_path / "vsftpd"))
            base, counts = real.url(""), lambda: retrieved(real.commands())
        else:
            base = stack.enter_context(Pyftpdlib(folder)).url("")
        outcomes = await fetch(base, tmp_path / "out", wanted)
        seen = counts()
    assert {name: outcome.status for name, outcome in outcomes.items()} == {one.id: Status.FETCHED for one in wanted}
    for name, outcome in outcomes.items():
        assert outcome.path is not None
        digest = hashlib.md5(outcome.path.read_bytes()).hexdigest()
        assert digest == outcome.md5 == drawn.digests[name]
        assert outcome.verified in ("crc", "length")
        assert (outcome.source, outcome.attempts) == ("packages", 1)
        assert outcome.url == f"{base.rstrip('/')}/{outcome.record.package_path}"
    assert seen == Counter(drawn.articles.keys())


def retrieved(commands: list[str]) -> Counter[str]:
    return Counter(words.removeprefix("RETR ").lstrip("/") for words in commands if words.startswith("RETR "))


async def test_an_ftp_server_that_allows_three_connections(tmp_path: Path) -> None:
    """No picture is lost, and no number of connections had to be named."""
    files = {path_of(number): package(number, before=30_000) for number in range(40)}
    async with ScriptedFtp(files, most=3) as server:
        records = [record(number) for number in range(40)]
        outcomes = await fetch(server.base, tmp_path, records, connections=None, attempts=6)
        assert server.most_seen <= 3
    assert {name: outcome.error for name, outcome in outcomes.items() if outcome.error} == {}


async def test_several_records_may_want_one_member(tmp_path: Path) -> None:
    """Three records of one member, in two folders, become three files out of one request."""
    records = [record(1), record(1, folder="others"), ImageRecord("AGAIN", "PMC1", "a.jpg", package_path=path_of(1))]
    async with ScriptedServer({path_of(1): package(1)}) as server:
        async with Fetcher(settings(server.base, tmp_path)) as fetcher:
            outcomes = [outcome async for outcome in fetcher.iter_fetch(records)]
        assert len(server.requests) == 1
    assert sorted(str(one.path and one.path.relative_to(tmp_path)) for one in outcomes) == [
        "images/AGAIN.jpg", "images/IMG_1_a.jpg", "others/IMG_1_a.jpg",
    ]  # fmt: skip
    assert all(one.path is not None and one.path.read_bytes() == content(1) for one in outcomes)


async def test_one_member_for_a_good_and_a_bad_folder(tmp_path: Path) -> None:
    """Of two records that want one member the one with a folder that cannot be is UNSAFE, and the other one comes."""
    records = [record(1), record(1, folder="f" * 300)]
    async with (
        ScriptedServer({path_of(1): package(1)}) as server,
        Fetcher(settings(server.base, tmp_path)) as fetcher,
    ):
        outcomes = [outcome async for outcome in fetcher.iter_fetch(records)]
    assert sorted(str(one.reason) for one in outcomes) == ["None", "UNSAFE"]
    assert files_below(tmp_path) == {"images/IMG_1_a.jpg"}


async def test_both_splits_share_a_package(tmp_path: Path) -> None:
    """The command line fetches two groups of which one article is in both, asks for it once, and exits 0."""
    write_split(tmp_path / "data", "test/radiology", [("ROCO_1", path_of(1), "a.jpg"), ("ROCO_2", path_of(2), "a.jpg")])
    write_split(tmp_path / "data", "train/radiology", [("ROCO_3", path_of(1), "b.jpg")])
    objects = {path_of(1): package(1, "a.jpg", "b.jpg"), path_of(2): package(2)}
    words = ["test/radiology", "train/radiology", "--data", tmp_path / "data", "--source", "packages", "--json"]
    async with ScriptedServer(objects) as server:
        ended = await command(*words, "--packages-url", server.base)
        assert sorted(one.key for one in server.requests) == [path_of(1), path_of(2)]
        again = await command(*words, "--packages-url", server.base)
        assert len(server.requests) == 2
    assert ended.code == again.code == 0, ended.stderr
    assert json.loads(ended.stdout)["fetched"] == json.loads(again.stdout)["skipped"] == 3
    assert (tmp_path / "data/test/radiology/images/ROCO_1.jpg").read_bytes() == content(1)
    assert (tmp_path / "data/test/radiology/images/ROCO_2.jpg").read_bytes() == content(2)
    assert (tmp_path / "data/train/radiology/images/ROCO_3.jpg").read_bytes() == content(1, "b.jpg")


@pytest.mark.parametrize(
    "path",
    ["../a.tar.gz", "a/../../b.tar.gz", "/a.tar.gz", "a//b.tar.gz", "a\\b.tar.gz", "a\nb.tar.gz", "\udc80.tar.gz", "."],
)
async def test_a_path_that_leads_elsewhere_is_not_kept(path: str, tmp_path: Path) -> None:
    """With `-k` a package path that goes up, is absolute or cannot be sent makes no file in or out of the folder."""
    async with ScriptedServer({path_of(2): package(2)}) as server:
        outcomes = await fetch(
            server.base, tmp_path, [record(1, package_path=path), record(2)], keep_packages=tmp_path / "k"
        )
        assert [one.key for one in server.requests] == [path_of(2)]
    assert outcomes["IMG_1_a"].reason is not None
    assert outcomes["IMG_1_a"].reason.name == "UNSAFE"
    assert outcomes["IMG_2_a"].status is Status.FETCHED
    assert files_below(tmp_path) == {"images/IMG_2_a.jpg", f"k/{path_of(2)}"}
