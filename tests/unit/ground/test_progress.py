"""Progress: the line, and drawers whose reader has left."""

from __future__ import annotations

import asyncio
import importlib
import io
import sys
from typing import IO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roco_async.progress import TICK, Bar, Drawer, Lines, Rates, Silent, drawn, duration, for_notebook, for_stream
from roco_async.records import Statistics
from tests.unit.clock import Clock

importlib.import_module("rich.progress")  # the bar does so when it is made, and an import blocks the loop


class Broken(io.StringIO):
    """A terminal whose reader leaves: every write is an EPIPE from then on."""

    left = False

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if self.left:
            raise BrokenPipeError
        return super().write(text)

    def flush(self) -> None:
        if self.left:
            raise BrokenPipeError


def at(elapsed: float, **counts: int) -> Statistics:
    return Statistics(elapsed=elapsed, **counts)


class TestRates:
    def test_one_line(self) -> None:
        """Done, images and megabytes a second, what is left, failures and connections stand in one line."""
        rates = Rates(1000)
        rates.note(at(0))
        now = at(4, fetched=100, skipped=20, failed=1, bytes=10_000_000, in_flight=1)
        rates.note(now)
        assert rates.text(now) == "121/1,000 images  25 images/s  2.5 MB/s  ETA 0:34  1 failed  1 connection"

    def test_where_nobody_knows_how_many(self) -> None:
        """Without a total there is no share and no ETA."""
        rates = Rates(None)
        rates.note(at(0))
        rates.note(at(1, fetched=5))
        assert rates.text(at(1, fetched=5, in_flight=2)) == "5 images  5 images/s  0.0 MB/s  2 connections"

    def test_done(self) -> None:
        """When all are done there is no ETA."""
        rates = Rates(5)
        rates.note(at(0))
        rates.note(at(1, fetched=5))
        assert "ETA" not in rates.text(at(1, fetched=5))

    def test_skipped_images_are_no_speed(self) -> None:
        """What was there already counts as done and not as fetched a second."""
        rates = Rates(None)
        rates.note(at(0))
        rates.note(at(2, skipped=5000))
        assert rates.images == 0

    def test_the_last_seconds_count(self) -> None:
        """A slow beginning is forgotten after some seconds."""
        rates = Rates(None)
        for second in range(20):
            rates.note(at(second))
        for second in range(20, 40):
            rates.note(at(second, fetched=10 * (second - 20), bytes=1000 * (second - 20)))
        assert (rates.images, rates.bytes) == pytest.approx((10, 1000))

    @given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 10**6), st.integers(0, 10**15)), max_size=20))
    def test_any_course(self, course: list[tuple[float, int, int]]) -> None:
        """Whatever is noted, a clock that stands still included, there is one line."""
        rates = Rates(10**6)
        for elapsed, fetched, size in course:
            now = at(elapsed, fetched=fetched, bytes=size)
            rates.note(now)
            assert "\n" not in rates.text(now)

    @pytest.mark.parametrize(
        ("seconds", "text"),
        [(0, "0:00"), (59.9, "0:59"), (60, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (360_000, "100:00:00")],
    )
    def test_a_clock(self, seconds: float, text: str) -> None:
        """Seconds are shown as a clock shows them."""
        assert duration(seconds) == text


class TestLines:
    def test_one_each_ten_seconds(self) -> None:
        """A line comes with the first tick at or after each ten seconds, and no other."""
        stream = io.StringIO()
        lines = Lines(100, stream)
        for tick in range(180):
            lines.draw(at(tick * 0.25, fetched=tick))
            assert stream.getvalue().count("\n") == int(tick * 0.25 / 10)
        assert stream.getvalue().splitlines()[0].startswith("40/100 images")


DRAWERS = [Lines, Bar]


class TestReaderLeft:
    @pytest.mark.parametrize("kind", DRAWERS)
    @pytest.mark.parametrize("leaves_after", [0, 3])
    async def test_a_broken_pipe(self, clock: Clock, kind: type[Lines | Bar], leaves_after: int) -> None:
        """A reader that leaves at the beginning or later costs the drawing; stdout and stderr are as they were."""
        stream, own = Broken(), (sys.stdout, sys.stderr)
        stream.left = leaves_after == 0
        began = clock.now
        async with drawn(lambda: at(clock.now - began, fetched=1), kind(10, stream)):
            await asyncio.sleep(leaves_after * 10)
            stream.left = True
            await asyncio.sleep(30)
            assert (sys.stdout, sys.stderr) == own

    @pytest.mark.parametrize("kind", DRAWERS)
    async def test_a_closed_stream(self, clock: Clock, kind: type[Lines | Bar]) -> None:
        """So does a stream that is closed meanwhile."""
        stream = io.StringIO()
        began = clock.now
        async with drawn(lambda: at(clock.now - began), kind(10, stream)):
            await asyncio.sleep(11)
            stream.close()
            await asyncio.sleep(11)


class TestTick:
    async def test_it_goes_on_in_silence(self, clock: Clock) -> None:
        """Four times a second the statistics are pulled, in silence too: an interrupt needs the loop to wake."""
        pulls: list[float] = []

        def statistics() -> Statistics:
            pulls.append(clock.now)
            return at(0)

        async with drawn(statistics, Silent()):
            await asyncio.sleep(10)
        assert TICK == 0.25
        assert 40 <= len(pulls) <= 42

    async def test_the_last_state_is_drawn(self, clock: Clock) -> None:
        """The block's end draws what then is, also when it ends with an error, which comes through."""

        class Last(Silent):
            seen: Statistics | None = None

            def close(self, last: Statistics) -> None:
                self.seen = last

        well, ill = Last(), Last()
        async with drawn(lambda: at(3), well):
            pass
        with pytest.raises(ZeroDivisionError):
            async with drawn(lambda: at(3), ill):
                raise ZeroDivisionError
        assert well.seen == ill.seen == at(3)

    async def test_cancelled(self, clock: Clock) -> None:
        """A cancelled block ends as such and leaves no ticking task."""

        async def block() -> None:
            async with drawn(lambda: at(0), Silent()):
                await asyncio.Event().wait()

        task = asyncio.create_task(block())
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("stream", "kind"), [(Terminal(), Bar), (io.StringIO(), Lines)])
def test_a_drawer_for_a_stream(stream: IO[str], kind: type[Drawer]) -> None:
    """A terminal gets a bar, and everything else lines."""
    assert type(for_stream(10, stream)) is kind


def test_a_bar_ends_with_the_last_state() -> None:
    """The bar that stays in the terminal has the last counts."""
    stream = Terminal()
    bar = Bar(10, stream)
    bar.draw(at(0, fetched=1))
    bar.close(at(2, fetched=10))
    assert "10/10 images" in stream.getvalue()


def test_no_notebook_is_silent() -> None:
    """Outside a notebook's kernel nothing is drawn."""
    assert type(for_notebook(10)) is Silent
