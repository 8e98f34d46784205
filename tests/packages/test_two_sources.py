"""`--source cloud --source packages` and the reverse: what the first has lost for good is asked of the second."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from roco_async import Fetcher, ImageRecord, Outcome, Reason, Status
from tests.servers.faults import Fault, Late, status
from tests.servers.objects import StoredObject
from tests.servers.scripted import ScriptedServer

from .stage import command, content, is_right, package, path_of, record, settings, write_split

ORDERS: Final = [("cloud", "packages"), ("packages", "cloud")]
RECORDS: Final = [record(number) for number in range(1, 7)]


def objects(cloud: set[int], packages: set[int]) -> dict[str, StoredObject | bytes]:
    """Return a bucket and a mirror in one server: which articles' pictures each has."""
    there: dict[str, StoredObject | bytes] = {f"bucket/PMC{number}.1/a.jpg": content(number) for number in cloud}
    return there | {f"mirror/{path_of(number)}": package(number) for number in packages}


class Both(ScriptedServer):
    """A bucket and a mirror; the bucket's listings know no article."""

    def config(self, out: Path, order: tuple[str, ...], **more: object) -> dict[str, object]:
        return {"source": order, "cloud_url": f"{self.base}bucket/", **more}

    def asked(self, where: str) -> list[str]:
        return sorted(one.key for one in self.requests if one.key.startswith(where) and one.key != "bucket/")


async def play(
    server: Both, out: Path, order: tuple[str, ...], records: list[ImageRecord] = RECORDS, **more: object
) -> dict[str, Outcome]:
    config = settings(f"{server.base}mirror", out, **server.config(out, order, **more))
    async with Fetcher(config) as fetcher:
        outcomes = [outcome async for outcome in fetcher.iter_fetch(records)]
    assert len(outcomes) == len(records)
    return {outcome.record.id: outcome for outcome in outcomes}


NO_LISTING: Final = Fault(
    status(200, body=b"<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>"),
    on="bucket/",
)


def both(*arguments: object) -> Both:
    return Both(*arguments, NO_LISTING)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
async def test_the_second_has_what_the_first_lost(order: tuple[str, str], tmp_path: Path) -> None:
    """Every picture comes, from the first source that has it, and the second is asked for the lost ones only."""
    cloud, packages = ({1, 2, 3, 4}, {3, 4, 5, 6}) if order[0] == "cloud" else ({1, 2, 3, 4, 5, 6}, {1, 2, 3, 4})
    first, second = (cloud, packages) if order[0] == "cloud" else (packages, cloud)
    async with both(objects(cloud, packages)) as server:
        outcomes = await play(server, tmp_path, order)
        other = "mirror/" if order[0] == "cloud" else "bucket/"
        assert len(server.asked(other)) == 2
    assert all(is_right(outcomes[f"IMG_{number}_a"], number) for number in range(1, 7))
    for number in range(1, 7):
        outcome = outcomes[f"IMG_{number}_a"]
        assert outcome.source == (order[0] if number in first else order[1])
        lost = {"cloud": 2, "packages": 1}[order[0]]  # the image and its listing, or the package
        assert outcome.attempts == (1 if number in first else lost + 1)
    assert second


@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
async def test_lost_by_both(order: tuple[str, str], tmp_path: Path) -> None:
    """A picture that nobody has is a permanent loss, with the words of both and the requests of both."""
    async with both(objects({1}, {1})) as server:
        outcomes = await play(server, tmp_path, order, RECORDS[:2])
    outcome = outcomes["IMG_2_a"]
    assert (outcome.status, outcome.reason, outcome.source) == (Status.FAILED, Reason.NOT_FOUND, order[1])
    assert outcome.attempts == 3
    assert f"{order[0]}: " in (outcome.error or "")
    assert f"; {order[1]}: " in (outcome.error or "")


@pytest.mark.parametrize("order", ORDERS, ids=" then ".join)
async def test_a_temporary_failure_is_not_given_on(order: tuple[str, str], tmp_path: Path) -> None:
    """What the first source may have tomorrow is not asked of the second."""
    first, second = ("bucket/*PMC2.*", "mirror/") if order[0] == "cloud" else ("mirror/*PMC2.tar.gz", "bucket/")
    async with both(objects({1, 2}, {1, 2}), Fault(status(500), on=first)) as server:
        outcomes = await play(server, tmp_path, order, RECORDS[:2])
        assert server.asked(second) == []
    assert outcomes["IMG_2_a"].reason is Reason.SERVER_ERROR
    assert outcomes["IMG_2_a"].attempts >= 3
    assert is_right(outcomes["IMG_1_a"], 1)


async def test_a_temporary_failure_of_the_second(tmp_path: Path) -> None:
    """Lost by the first, refused by the second for now: temporary, with the words of both."""
    async with both(objects(set(), {1}), Fault(status(503), on="mirror/*")) as server:
        outcomes = await play(server, tmp_path, ("cloud", "packages"), RECORDS[:1])
    assert outcomes["IMG_1_a"].reason is Reason.BUSY
    assert "cloud: " in (outcomes["IMG_1_a"].error or "")


async def test_a_record_without_a_package(tmp_path: Path) -> None:
    """A record that names no package is a loss without a request; the cloud may have it all the same."""
    bare = [record(1, package_path=None), record(2, package_path=None), record(3, package_path="")]
    async with both(objects({1}, {1, 2, 3})) as server:
        outcomes = await play(server, tmp_path, ("packages", "cloud"), bare)
        assert server.asked("mirror/") == []
    assert is_right(outcomes["IMG_1_a"], 1)
    assert [outcomes[f"IMG_{number}_a"].reason for number in (2, 3)] == [Reason.NOT_FOUND] * 2
    assert "names no package" in (outcomes["IMG_2_a"].error or "")


async def test_a_record_with_a_url(tmp_path: Path) -> None:
    """A row with `url` is asked for there only, whatever package it names and whoever shares that package."""
    there = {**objects(set(), {1}), "own/a.jpg": content(9), "own/c.jpg": content(8)}
    async with both(there) as server:
        records = [
            record(1),
            record(1, "b.jpg", url=server.url("own/a.jpg")),
            record(1, "c.jpg", url=server.url("own/c.jpg")),
            record(1, "d.jpg", url="ftp://127.0.0.1/x.jpg"),
            record(1, "e.jpg", url=""),
        ]
        for number, order in enumerate((records, records[::-1])):
            outcomes = await play(server, tmp_path / str(number), ("packages",), order)
            assert is_right(outcomes["IMG_1_a"], 1)
            assert is_right(outcomes["IMG_1_b"], 9)
            assert is_right(outcomes["IMG_1_c"], 8)
            assert outcomes["IMG_1_d"].reason is outcomes["IMG_1_e"].reason is Reason.UNSAFE
        assert len(server.requests) == 6


async def test_a_url_that_is_dead_is_asked_once(tmp_path: Path) -> None:
    """What its own URL has lost for good is asked of no other source."""
    async with both(objects({1}, {1})) as server:
        outcomes = await play(server, tmp_path, ("cloud", "packages"), [record(1, url=server.url("own/gone.jpg"))])
        assert [one.key for one in server.requests] == ["own/gone.jpg"]
    assert outcomes["IMG_1_a"].reason is Reason.NOT_FOUND


async def test_one_record_twice(tmp_path: Path) -> None:
    """A list that has a row twice gets two outcomes, in the second pass too."""
    async with both(objects(set(), {1})) as server:
        outcomes = await play(server, tmp_path, ("cloud", "packages"), [record(1), record(1)])
        assert len(server.asked("mirror/")) == 1
    assert is_right(outcomes["IMG_1_a"], 1)


async def test_drained_in_the_second_pass(tmp_path: Path) -> None:
    """After `drain` each record that the first source had lost is told once, also if the second was not asked."""
    async with both(objects(set(), set(range(1, 7))), Fault(Late(0.2), on="mirror/*")) as server:
        config = settings(
            f"{server.base}mirror", tmp_path, **server.config(tmp_path, ("cloud", "packages"), connections=1)
        )
        async with Fetcher(config) as fetcher:
            run = fetcher.iter_fetch(RECORDS)
            outcomes = [await anext(run)]
            run.drain()
            outcomes += [outcome async for outcome in run]
    assert sorted(one.record.id for one in outcomes) == [one.id for one in RECORDS]
    assert {one.reason for one in outcomes} <= {None, Reason.NOT_FOUND}
    assert any(one.reason is Reason.NOT_FOUND for one in outcomes)


async def test_by_the_command_line(tmp_path: Path) -> None:
    """The command line with both sources exits 0 where the mirror has what the bucket lost, and 3 where nobody has."""
    rows = [(f"ROCO_{number}", path_of(number), "a.jpg") for number in (1, 2)]
    write_split(tmp_path / "data", "test/radiology", rows)
    words = ("test/radiology", "--data", tmp_path / "data", "--source", "cloud", "--source", "packages")
    async with both(objects({1}, {2})) as server:
        urls = ("--cloud-url", f"{server.base}bucket/", "--packages-url", f"{server.base}mirror/")
        assert (await command(*words, *urls, "--out", tmp_path / "1")).code == 0
    async with both(objects({1}, set())) as server:
        urls = ("--cloud-url", f"{server.base}bucket/", "--packages-url", f"{server.base}mirror/")
        ended = await command(*words, *urls, "--out", tmp_path / "2", "-v")
    assert ended.code == 3
    assert "cloud: " in ended.stderr
    assert "packages: " in ended.stderr
