"""The demo from its folder to its page, fetched here by a client of a few lines."""

from __future__ import annotations

import asyncio
import builtins
import io
import sys
from functools import partial
from pathlib import Path

import aiohttp
import pytest

pytest.importorskip("PIL", reason="the extra `demo` (Pillow) is not installed")

from PIL import Image

import roco_async.demo as demo
from roco_async.config import FetchConfig
from roco_async.demo.bucket import Bucket
from roco_async.demo.casebook import Case, make_cases
from roco_async.demo.page import picture_path
from roco_async.demo.phantoms import draw_case
from roco_async.errors import DiskRefused, Reason, UsageError
from roco_async.records import FetchReport, ImageRecord, Outcome, Status

CASES = make_cases(radiology=14, non_radiology=2, seed=1)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> tuple[Case, ...]:
    """A demo of 16 pictures, in which the lacking one and the second version still occur."""
    assert sum(not case.published for case in CASES) == 1
    monkeypatch.setattr(demo, "make_cases", lambda: CASES)
    monkeypatch.setattr(demo, "Bucket", partial(Bucket, cut_every=9, latency=0, pace=0))
    return CASES


async def fetch_plainly(config: FetchConfig, session: aiohttp.ClientSession) -> FetchReport:
    """Fetch what the annotations name from where the cases say, one by one, resuming what was cut."""
    assert config.data is not None
    report = FetchReport()
    for case in CASES:
        path = Path(config.data) / picture_path(case)
        record = ImageRecord(case.id, case.pmcid, case.name, f"test/{case.group}/images")
        if await asyncio.to_thread(path.exists):
            report.add(Outcome(record=record, status=Status.SKIPPED, path=path))
            continue
        status, body = await take(session, config.cloud_url + case.key)
        if status == 404:
            report.add(Outcome(record=record, status=Status.FAILED, reason=Reason.NOT_FOUND))
            continue
        await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(path.write_bytes, body)
        report.add(Outcome(record=record, status=Status.FETCHED, path=path, bytes=len(body)))
    return report


async def take(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    body = bytearray()
    while True:
        headers = {"Range": f"bytes={len(body)}-"} if body else {}
        async with session.get(url, headers=headers) as answer:
            try:
                async for chunk in answer.content.iter_any():
                    body += chunk
            except aiohttp.ClientPayloadError:
                continue
            return answer.status, bytes(body)


async def test_demo_leaves_pictures_annotations_and_a_page(tmp_path: Path, few: tuple[Case, ...]) -> None:
    """After the demo every published picture lies whole at its place, and the page shows them all."""
    said: list[str] = []
    result = await demo.run_demo(tmp_path / "new", fetch=fetch_plainly, say=said.append)
    assert (result.report.fetched, result.report.failed, result.as_planned) == (len(few) - 1, 1, True)
    page = result.page.read_text(encoding="utf-8")
    for case in few:
        path = tmp_path / "new" / picture_path(case)
        assert path.exists() is case.published
        assert (f'src="{picture_path(case)}"' in page) is case.published
        if case.published:
            with Image.open(io.BytesIO(path.read_bytes())) as picture:
                picture.load()
    assert result.counts.cuts == result.counts.resumes == 1
    assert len(said) == 2
    assert result.closing_lines[-2:] == (
        "What is missing, the bucket lacks on purpose.",
        f"Look at {tmp_path / 'new' / 'index.html'}",
    )


async def test_second_run_has_nothing_to_fetch_and_says_so(tmp_path: Path, few: tuple[Case, ...]) -> None:
    """Run twice in one folder, the demo fetches nothing the second time, says so, and the page shows all again."""
    first = await demo.run_demo(tmp_path, fetch=fetch_plainly)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.txt")}
    second = await demo.run_demo(tmp_path, fetch=fetch_plainly)
    assert (second.report.fetched, second.report.skipped) == (0, first.report.fetched)
    assert f"Nothing to fetch: {len(few) - 1} pictures are there already." in second.closing_lines
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.txt")} == before
    assert second.page.read_text(encoding="utf-8").count("<img") == len(few) - 1


async def test_real_engine_brings_all_but_what_the_bucket_lacks(
    tmp_path: Path, few: tuple[Case, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own fetch brings every published picture byte for byte, resumes what was cut, names the lacking one
    as lost for good, asks for nothing twice, and needs no proxy for the loopback."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    first = await demo.run_demo(tmp_path / "new")
    assert (first.report.fetched, first.report.reasons, first.as_planned) == (len(few) - 1, {"NOT_FOUND": 1}, True)
    assert first.counts.cuts == first.counts.resumes == 1
    for case in few:
        if case.published:
            assert (tmp_path / "new" / picture_path(case)).read_bytes() == draw_case(case)
    second = await demo.run_demo(tmp_path / "new")
    assert (second.report.fetched, second.report.skipped, second.as_planned) == (0, len(few) - 1, True)
    assert (second.counts.requests, second.counts.missing, second.counts.listings) == (2, 1, 1)


async def test_stopped_fetch_is_not_as_planned(tmp_path: Path, few: tuple[Case, ...]) -> None:
    """A fetch that ended early is not taken for a whole demo, and its page still gets written."""

    async def stopped(config: FetchConfig, session: aiohttp.ClientSession) -> FetchReport:
        lacking = next(case for case in few if not case.published)
        report = FetchReport()
        record = ImageRecord(lacking.id, lacking.pmcid, lacking.name)
        report.add(Outcome(record=record, status=Status.FAILED, reason=Reason.NOT_FOUND))
        return report

    result = await demo.run_demo(tmp_path, fetch=stopped)
    assert result.as_planned is False
    assert "<img" not in await asyncio.to_thread(result.page.read_text, encoding="utf-8")


async def test_folder_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    """A folder that holds something and was not made by a demo is refused, and nothing is written into it."""
    mine = tmp_path / "test" / "radiology" / "dlinks.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine\n")
    with pytest.raises(UsageError, match="--out"):
        await demo.run_demo(tmp_path, fetch=fetch_plainly)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine\n"


async def test_file_in_place_of_the_folder_is_bad_input(tmp_path: Path) -> None:
    """A file where the folder should be is named as bad input."""
    (tmp_path / "taken").write_text("")
    with pytest.raises(UsageError, match="taken: not a folder"):
        await demo.run_demo(tmp_path / "taken", fetch=fetch_plainly)


async def test_folder_that_cannot_be_made_is_the_disks_refusal(tmp_path: Path) -> None:
    """A folder below a file cannot be made, and that is DiskRefused with the path in its message."""
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskRefused, match="below"):
        await demo.run_demo(tmp_path / "file" / "below", fetch=fetch_plainly)


async def test_without_pillow_one_sentence_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where Pillow is missing the demo says so in one sentence with the pip command, and makes no folder."""
    real = builtins.__import__

    def without_pillow(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "PIL":
            raise ModuleNotFoundError("No module named 'PIL'", name="PIL")
        return real(name, *rest)  # type: ignore[arg-type]

    for name in ("roco_async.demo.phantoms", "roco_async.demo.canvas"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        monkeypatch.delattr(demo, name.rpartition(".")[2], raising=False)
    monkeypatch.setattr(builtins, "__import__", without_pillow)
    with pytest.raises(UsageError) as caught:
        await demo.run_demo(tmp_path / "new", fetch=fetch_plainly)
    assert len(caught.value.issues) == 1
    assert "pip install 'roco-async[demo]'" in caught.value.issues[0]
    assert not (tmp_path / "new").exists()
