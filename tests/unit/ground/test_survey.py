"""The dry run, and the look at the disk's room: counts without a request and without a byte written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from roco_async.config import FetchConfig
from roco_async.errors import DiskRefused
from roco_async.records import ImageRecord
from roco_async.survey import MEAN_SIZE, Survey, free_space, shortage
from roco_async.survey import survey as survey_all
from tests.servers.pictures import tiny_jpeg

RECORDS = [ImageRecord(f"R{number}", f"PMC{number // 2}", "a.jpg") for number in range(10)]


async def each(records: Iterable[ImageRecord]) -> AsyncGenerator[ImageRecord, None]:
    for record in records:
        yield record


async def survey(records: AsyncGenerator[ImageRecord, None], config: FetchConfig) -> Survey:
    """Survey, and look at what is free apart: a disk is never the same twice."""
    found = await survey_all(records, config)
    assert found.free is not None
    assert found.free > 0
    return replace(found, free=None)


def put(out: Path, record: ImageRecord, content: bytes) -> None:
    (out / record.folder).mkdir(parents=True, exist_ok=True)
    (out / record.folder / f"{record.id}.jpg").write_bytes(content)


async def test_nothing_there(tmp_path: Path) -> None:
    """Of an empty folder everything is to be fetched, articles are counted once, and nothing is made."""
    out = tmp_path / "out"
    assert await survey(each(RECORDS), FetchConfig(out=out)) == Survey(
        images=10, articles=5, to_fetch=10, bytes_estimated=10 * MEAN_SIZE
    )
    assert not out.exists()


async def test_what_is_there(tmp_path: Path) -> None:
    """A file with its row is there, one without is unchecked, one that is empty or of another size is fetched."""
    picture = tiny_jpeg()
    for record, content in zip(RECORDS, [picture, picture, b"", picture], strict=False):
        put(tmp_path, record, content)
    (tmp_path / ".roco" / "journal").mkdir(parents=True)
    row = f'{{"t":1,"folder":"images","file":"R0.jpg","status":"FETCHED","bytes":{len(picture)}}}\n'
    (tmp_path / ".roco" / "journal" / "a.jsonl").write_text(row)
    before = sorted(os.walk(tmp_path))
    wanted = [*RECORDS[:3], replace(RECORDS[3], size=1)]
    found = await survey(each(wanted), FetchConfig(out=tmp_path))
    assert found == Survey(
        images=4, articles=2, there=1, unchecked=1, to_fetch=2, sizes_known=1, bytes_known=1, bytes_estimated=MEAN_SIZE
    )
    assert sorted(os.walk(tmp_path)) == before


async def test_only_the_first(tmp_path: Path) -> None:
    """`limit` counts here as it does in a run."""
    assert (await survey(each(RECORDS), FetchConfig(out=tmp_path, limit=3))).images == 3


async def test_a_folder_that_cannot_be_read(tmp_path: Path) -> None:
    """A file where the images should be is DiskRefused."""
    (tmp_path / "images").write_bytes(b"")
    with pytest.raises(DiskRefused):
        await survey(each(RECORDS), FetchConfig(out=tmp_path))


async def test_hostile_records(tmp_path: Path) -> None:
    """A record that would lead out ends no survey, is not there, and is not to be fetched."""
    bad = [replace(RECORDS[0], folder="../x"), replace(RECORDS[0], id="a/b")]
    assert await survey(each(bad), FetchConfig(out=tmp_path)) == Survey(images=2, articles=1)


def settle(out: Path, count: int, size: int) -> list[ImageRecord]:
    """Put images of one size into a folder, with their rows, and return their records."""
    there = [ImageRecord(f"T{number}", "PMC9", "a.jpg") for number in range(count)]
    for record in there:
        put(out, record, bytes(size))
    rows = [{"t": 1, "folder": "images", "file": f"{one.id}.jpg", "status": "FETCHED", "bytes": size} for one in there]
    (out / ".roco" / "journal").mkdir(parents=True)
    (out / ".roco" / "journal" / "a.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return there


@pytest.mark.parametrize(("count", "mean"), [(99, MEAN_SIZE), (100, 7), (150, 7)])
async def test_the_mean_of_those_that_are_there(count: int, mean: int, tmp_path: Path) -> None:
    """A hundred images that are there tell the size of the others; fewer do not, and ROCO's mean is taken."""
    there = settle(tmp_path, count, 7)
    found = await survey(each([*there, *RECORDS]), FetchConfig(out=tmp_path))
    assert (found.there, found.to_fetch, found.bytes_estimated) == (count, 10, 10 * mean)


async def test_known_sizes_are_no_estimate(tmp_path: Path) -> None:
    """Sizes that a list tells are summed as they are; only the others are estimated."""
    known = [replace(record, size=1000) for record in RECORDS[:4]]
    found = await survey(each([*known, *RECORDS[4:5]]), FetchConfig(out=tmp_path))
    assert (found.sizes_known, found.bytes_known, found.bytes_estimated) == (4, 4000, MEAN_SIZE)
    assert found.needed == 4000 + MEAN_SIZE


@pytest.mark.parametrize(("free", "short"), [(None, False), (99, True), (100, False), (0, True)])
def test_short(free: int | None, short: bool) -> None:
    """Less free than needed is short; what nobody knows is not."""
    assert Survey(bytes_known=60, bytes_estimated=40, free=free).is_short is short


def test_free_space(tmp_path: Path) -> None:
    """What is free is asked of the folder, or of the nearest one above it that is there."""
    assert free_space(tmp_path) == pytest.approx(shutil.disk_usage(tmp_path).free, abs=1 << 30)
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "a" / "b" / "c", tmp_path / "file" / "below"):
        assert free_space(place) == pytest.approx(shutil.disk_usage(tmp_path).free, abs=1 << 30)


def test_free_space_that_nobody_tells(tmp_path: Path) -> None:
    """A path that no file system takes has no free space that is known; it is no error here."""
    assert free_space(tmp_path / ("x" * 300)) is None


class TestShortage:
    @pytest.fixture
    def disk(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
        """Say how much is free: `disk(1000)`."""

        def has(free: int) -> None:
            monkeypatch.setattr("roco_async.survey.free_space", lambda _: free)

        return has

    @pytest.fixture
    def uncounted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let counting fail."""

        async def survey(*_: object) -> Survey:
            raise AssertionError("counted")

        monkeypatch.setattr("roco_async.survey.survey", survey)

    async def look(
        self, out: Path, records: list[ImageRecord] = RECORDS, *, limit: int | None = None, whole: bool = True
    ) -> Survey | None:
        folders = {"images": len(records)} if whole and limit is None else {}
        config = FetchConfig(out=out, limit=limit)
        return await shortage(lambda: each(records), limit or len(records), config, folders)

    async def test_ample_room_is_not_counted(
        self, disk: Callable[[int], None], uncounted: None, tmp_path: Path
    ) -> None:
        """Twice the estimate free: no journal and no record is read."""
        disk(10 * MEAN_SIZE * 2)
        assert await self.look(tmp_path) is None

    async def test_what_is_there_is_not_counted(
        self, disk: Callable[[int], None], uncounted: None, tmp_path: Path
    ) -> None:
        """A folder that has all images needs no room, and no journal is read to find that out."""
        disk(0)
        assert await self.look(tmp_path, settle(tmp_path, 20, 7)) is None

    async def test_too_little(self, disk: Callable[[int], None], tmp_path: Path) -> None:
        """One byte less than the estimate is a shortage, told with its survey; the estimate is none."""
        disk(10 * MEAN_SIZE - 1)
        found = await self.look(tmp_path)
        assert found is not None
        assert (found.to_fetch, found.needed, found.free) == (10, 10 * MEAN_SIZE, 10 * MEAN_SIZE - 1)
        disk(10 * MEAN_SIZE)
        assert await self.look(tmp_path) is None

    async def test_what_is_there_is_not_needed_again(self, disk: Callable[[int], None], tmp_path: Path) -> None:
        """Images that are there take no room a second time."""
        disk(10 * MEAN_SIZE)
        assert await self.look(tmp_path, [*settle(tmp_path, 20, 7), *RECORDS]) is None

    async def test_larger_images_than_rocos(self, disk: Callable[[int], None], tmp_path: Path) -> None:
        """Where those that are there are larger than ROCO's, so are those to come."""
        disk(15 * MEAN_SIZE)
        found = await self.look(tmp_path, [*settle(tmp_path, 100, 2 * MEAN_SIZE), *RECORDS])
        assert found is not None
        assert found.needed == 10 * 2 * MEAN_SIZE

    async def test_a_limit(self, disk: Callable[[int], None], tmp_path: Path) -> None:
        """`limit` bounds the need, as it does in a run."""
        disk(3 * MEAN_SIZE)
        assert await self.look(tmp_path, limit=3) is None
        found = await self.look(tmp_path, limit=4)
        assert found is not None
        assert (found.images, found.needed) == (4, 4 * MEAN_SIZE)

    async def test_some_of_a_folder(self, disk: Callable[[int], None], tmp_path: Path) -> None:
        """Files of a folder that has other images too say nothing about the wanted ones: they are counted."""
        disk(0)
        settle(tmp_path, 20, 7)
        found = await self.look(tmp_path, whole=False)
        assert found is not None
        assert found.to_fetch == 10

    async def test_foreign_files(self, disk: Callable[[int], None], tmp_path: Path) -> None:
        """A folder full of files cannot have more images than are wanted of it."""
        disk(0)
        settle(tmp_path, 20, 7)
        wanted = [replace(record, folder="others") for record in RECORDS]
        folders = {"images": 5, "others": 10}
        found = await shortage(lambda: each(wanted), 15, FetchConfig(out=tmp_path), folders)
        assert found is not None
        assert found.to_fetch == 10

    async def test_nobody_knows_what_is_free(
        self, monkeypatch: pytest.MonkeyPatch, uncounted: None, tmp_path: Path
    ) -> None:
        """A system that does not say what is free has no shortage that could be told."""
        monkeypatch.setattr("roco_async.survey.free_space", lambda _: None)
        assert await self.look(tmp_path) is None
