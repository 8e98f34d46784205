"""What may be a picture in a package, and what may not, whatever it is called."""

from __future__ import annotations

import hashlib
import tarfile
from pathlib import Path
from typing import Final

import pytest

from roco_async import Fetcher
from tests.servers.faults import HTML
from tests.servers.scripted import ScriptedServer

from .stage import content, fetch, files_below, is_right, package, path_of, record, settings, tar_gz, tell

A: Final = content(1)
OTHER: Final = content(1, "other.jpg")


def special(kind: bytes, name: str = "PMC1/a.jpg", target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


async def play(whole: bytes, out: Path, *names: str, **fields: object) -> dict[str, str]:
    """Fetch pictures of article 1 from this package, beside one of a sound package that has to come."""
    records = [record(1, name, **fields) for name in names or ("a.jpg",)]
    async with ScriptedServer({path_of(1): whole, path_of(2): package(2)}) as server:
        outcomes = await fetch(server.base, out, [*records, record(2)])
        assert len(server.requests) == 2, "the archive is what it is: one request"
    assert is_right(outcomes["IMG_2_a"], 2)
    there = {f"images/{name}.jpg" for name, outcome in outcomes.items() if outcome.path is not None}
    assert files_below(out) == there
    return {name: said for name, said in tell(outcomes).items() if name != "IMG_2_a"}


@pytest.mark.parametrize("name", ["PMC1/a.jpg", "./PMC1/a.jpg", "other top/a.jpg", "PMC1.2/a.jpg"])
async def test_a_member_is_told_by_its_own_name(name: str, tmp_path: Path) -> None:
    """`[./]<top>/<name>` is the member, whatever the top is called."""
    assert await play(tar_gz((name, A)), tmp_path) == {"IMG_1_a": "crc"}
    assert (tmp_path / "images" / "IMG_1_a.jpg").read_bytes() == A


@pytest.mark.parametrize(
    "name",
    [
        "a.jpg", "./a.jpg", "../a.jpg", "././a.jpg", "/a.jpg", "/PMC1/a.jpg", "../PMC1/a.jpg", "PMC1/../a.jpg",
        "PMC1//a.jpg", "PMC1/sub/a.jpg", "PMC1/A.jpg", "PMC1/a.jpg ", "PMC1/a.jpg.bak", "PMC1\\a.jpg", "PMC1/xa.jpg",
        ".//a.jpg",
    ],
)  # fmt: skip
async def test_no_other_name_is_the_member(name: str, tmp_path: Path) -> None:
    """Deeper, higher, absolute, in another case or almost the name: the member is missing, for good."""
    assert await play(tar_gz((name, A)), tmp_path) == {"IMG_1_a": "NO_MEMBER"}


@pytest.mark.parametrize(
    "info",
    [
        special(tarfile.SYMTYPE, target="/etc/passwd"),
        special(tarfile.SYMTYPE, target="other.jpg"),
        special(tarfile.LNKTYPE, target="PMC1/other.jpg"),
        special(tarfile.LNKTYPE, target="/etc/passwd", size=4000),
        special(tarfile.FIFOTYPE),
        special(tarfile.CHRTYPE),
        special(tarfile.BLKTYPE),
        special(tarfile.DIRTYPE),
        special(b"Z"),
    ],
    ids=lambda info: f"{info.type.decode()} {info.linkname}",
)
async def test_what_is_no_file_is_no_picture(info: tarfile.TarInfo, tmp_path: Path) -> None:
    """A link, a pipe, a device, a directory or an unknown thing with the wanted name is never followed nor kept."""
    said = await play(tar_gz(("PMC1/other.jpg", OTHER), (info, b"")), tmp_path, "a.jpg", "other.jpg")
    assert said == {"IMG_1_a": "NO_MEMBER", "IMG_1_other": "crc"}


async def test_a_file_behind_a_link_of_its_name(tmp_path: Path) -> None:
    """The first complete file of a name is taken, though a link of that name came before it."""
    whole = tar_gz((special(tarfile.SYMTYPE, target="x"), b""), ("PMC1/a.jpg", A), ("PMC1/a.jpg", OTHER))
    assert await play(whole, tmp_path) == {"IMG_1_a": "crc"}
    assert (tmp_path / "images" / "IMG_1_a.jpg").read_bytes() == A


async def test_a_sparse_file_is_no_picture(tmp_path: Path) -> None:
    """A member with holes, by GNU's pax keywords, is NO_MEMBER."""
    info = tarfile.TarInfo("PMC1/GNUSparseFile.1/a.jpg")
    info.size = len(A)
    info.pax_headers = {
        "GNU.sparse.major": "1",
        "GNU.sparse.minor": "0",
        "GNU.sparse.name": "PMC1/a.jpg",
        "GNU.sparse.realsize": "9",
    }
    assert await play(tar_gz((info, A), form=tarfile.PAX_FORMAT), tmp_path) == {"IMG_1_a": "NO_MEMBER"}


async def test_a_name_that_only_pax_tells(tmp_path: Path) -> None:
    """The name in a pax header counts, and a top folder that is no UTF-8 spoils no message."""
    info = special(tarfile.SYMTYPE, "x" * 300 + "\udcff/a.jpg", target="b")
    plain = tarfile.TarInfo("y" * 300 + "\udcfe/other.jpg")
    plain.size = len(OTHER)
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        said = await play(tar_gz((info, b""), (plain, OTHER), form=form), tmp_path / str(form), "a.jpg", "other.jpg")
        assert said == {"IMG_1_a": "NO_MEMBER", "IMG_1_other": "crc"}


async def test_a_member_over_the_cap(tmp_path: Path) -> None:
    """A header that announces over 256 MiB is TOO_LARGE before a byte is written; the pictures before it come."""
    huge = special(tarfile.REGTYPE, size=(256 << 20) + 1)
    whole = tar_gz(("PMC1/other.jpg", OTHER), (huge, b""))
    assert await play(whole, tmp_path, "a.jpg", "other.jpg") == {"IMG_1_a": "TOO_LARGE", "IMG_1_other": "crc"}


async def test_a_page_with_a_pictures_name(tmp_path: Path) -> None:
    """A web page as a member, an empty member, and a member that is not what the list's md5 says are DAMAGED."""
    whole = tar_gz(("PMC1/a.jpg", HTML), ("PMC1/b.jpg", b""), ("PMC1/other.jpg", OTHER))
    assert await play(whole, tmp_path, "a.jpg", "b.jpg", "other.jpg") == {
        "IMG_1_a": "DAMAGED", "IMG_1_b": "DAMAGED", "IMG_1_other": "crc",
    }  # fmt: skip


async def test_the_lists_md5_decides(tmp_path: Path) -> None:
    """With the list's md5 the member is verified by it; with another one it is DAMAGED, and its neighbour comes."""
    whole = tar_gz(("PMC1/a.jpg", A), ("PMC1/other.jpg", OTHER))
    digest = hashlib.md5(A).hexdigest()
    assert await play(whole, tmp_path, "a.jpg", "other.jpg", md5=digest.upper()) == {
        "IMG_1_a": "md5", "IMG_1_other": "DAMAGED",
    }  # fmt: skip


async def test_a_size_that_the_list_says(tmp_path: Path) -> None:
    """A member of another size than the list's is DAMAGED."""
    assert await play(tar_gz(("PMC1/a.jpg", A)), tmp_path / "1", size=len(A)) == {"IMG_1_a": "crc"}
    assert await play(tar_gz(("PMC1/a.jpg", A)), tmp_path / "2", size=len(A) + 1) == {"IMG_1_a": "DAMAGED"}


async def test_a_folder_that_no_file_system_takes(tmp_path: Path) -> None:
    """A record whose folder has too long a name is UNSAFE alone: the others of its package come."""
    records = [record(1, folder="f" * 300), record(1, "other.jpg")]
    async with ScriptedServer({path_of(1): tar_gz(("PMC1/a.jpg", A), ("PMC1/other.jpg", OTHER))}) as server:
        assert tell(await fetch(server.base, tmp_path, records)) == {"IMG_1_a": "UNSAFE", "IMG_1_other": "crc"}


async def test_one_member_for_a_good_and_a_bad_folder(tmp_path: Path) -> None:
    """Of two records that want one member the one with a folder that cannot be is UNSAFE, and the other one comes."""
    records = [record(1), record(1, folder="f" * 300)]
    async with (
        ScriptedServer({path_of(1): tar_gz(("PMC1/a.jpg", A))}) as server,
        Fetcher(settings(server.base, tmp_path)) as fetcher,
    ):
        outcomes = [outcome async for outcome in fetcher.iter_fetch(records)]
    assert sorted(str(one.reason) for one in outcomes) == ["None", "UNSAFE"]
    assert files_below(tmp_path) == {"images/IMG_1_a.jpg"}
