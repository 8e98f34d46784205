"""Paced, a Transport round a Transport: slots, an outage found out once, one probe at a time, who is let go."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from roco_async.errors import (
    Blocked,
    Broken,
    Busy,
    Damaged,
    Grace,
    HostDown,
    NotFound,
    Refused,
    Stalled,
    TemporaryError,
    TransferError,
)
from roco_async.transfer.health import State
from roco_async.transfer.hosts import Paced
from roco_async.transfer.limits import Verdict
from tests.unit.clock import Clock, settle

from .hosts import URL, Fixed, Site, outcome, paced, read, stubborn


def start(transport: Paced, count: int, prefix: str = "u") -> list[asyncio.Task[bytes | TransferError]]:
    return [asyncio.create_task(stubborn(transport, f"{URL}{prefix}{number}")) for number in range(count)]


class TestSlots:
    async def test_no_more_than_the_limit(self, clock: Clock) -> None:
        """Twenty transfers with a limit of three are under way three at a time, and all come through."""
        site = Site()
        transport = paced(site, limit=3)
        assert await asyncio.gather(*start(transport, 20)) == [b"x"] * 20
        assert (site.most_open, transport.in_flight) == (3, 0)

    async def test_each_host_has_its_own(self, clock: Clock) -> None:
        """Scheme, host and port make a host; the limits and the counts of several add up."""
        site = Site()
        transport = Paced(site, policy=lambda _: Fixed(2), timeout=30, outage=300, probes=6)
        urls = [f"{host}/{n}" for host in ("http://a", "http://b", "http://b:81", "https://a") for n in range(3)]
        tasks = [asyncio.create_task(read(transport, url)) for url in urls]
        await settle()
        assert (site.open_now, transport.in_flight, transport.limit) == (8, 8, 8)
        await asyncio.gather(*tasks)
        assert transport.in_flight == 0

    def test_what_is_one_host(self) -> None:
        """Path, query and fragment are no part of it, and a URL without a path has one too."""
        transport = paced(Site())
        tails = ("/", "/a/b?c", "?img=12", "?img=1/3", "#x", "")
        assert len({transport.host_of(f"http://h:80{tail}") for tail in tails}) == 1
        assert transport.host_of("http://h:81") is not transport.host_of("http://h:80")

    @pytest.mark.parametrize(
        ("error", "verdict"),
        [
            (None, Verdict.SUCCESS),
            (NotFound("404"), Verdict.IGNORE),
            (Refused("403"), Verdict.IGNORE),
            (Damaged("md5"), Verdict.IGNORE),
            (Busy("503"), Verdict.DROPPED),
            (Broken("reset"), Verdict.DROPPED),
            (Broken("idle", overload=False), Verdict.IGNORE),
        ],
    )
    async def test_the_verdict_of_an_end(self, clock: Clock, error: TransferError | None, verdict: Verdict) -> None:
        """Only errors that tell of overload lower the limit, and only what went through raises it."""
        policy = Fixed(4)
        transport = paced(Site(fails=lambda _: error), policy=policy)
        await outcome(transport, URL)
        assert policy.verdicts == [verdict]

    async def test_an_error_in_the_block_is_the_verdict(self, clock: Clock) -> None:
        """What the receiver raises inside the block counts; what is no transfer's error says nothing about the load."""
        policy = Fixed(4)
        transport = paced(Site(), policy=policy)
        with pytest.raises(Damaged):
            async with transport.open(URL):
                raise Damaged("md5")
        with pytest.raises(ZeroDivisionError):
            async with transport.open(URL):
                raise ZeroDivisionError
        assert (policy.verdicts, transport.in_flight) == ([Verdict.IGNORE], 0)

    async def test_one_that_failed_goes_first(self, clock: Clock) -> None:
        """A URL that was tried before stands before all that were not."""
        broken = {f"{URL}again"}
        site = Site(fails=lambda url: Broken("reset") if url in broken else None)
        transport = paced(site, limit=1)
        await outcome(transport, f"{URL}again")
        broken.clear()
        tasks = start(transport, 3)
        await settle()
        late = asyncio.create_task(read(transport, f"{URL}again"))
        await asyncio.gather(*tasks, late)
        assert [url.removeprefix(URL) for _, url in site.opened] == ["again", "u0", "again", "u1", "u2"]

    async def test_it_closes_what_is_inside(self) -> None:
        """`aclose` closes the transport that it stands round."""
        site = Site()
        await paced(site).aclose()
        assert site.closed

    async def test_bytes_are_told_to_the_policy(self, clock: Clock) -> None:
        """Every byte that arrives is told to the host's policy."""
        policy = Fixed(4)
        transport = paced(Site(chunks=lambda _: [(0.1, b"abc"), (0.1, b"de")]), policy=policy)
        assert await read(transport, URL) == b"abcde"
        assert policy.bytes == 5


class TestOutage:
    async def test_found_out_once(self, clock: Clock) -> None:
        """Of 2,000 jobs against a host that never answered, six ask in all, one at a time, and all end as HostDown."""
        site = Site(down=True)
        transport = paced(site, limit=1, probes=6)
        found = await asyncio.gather(*start(transport, 2000))
        assert Counter(map(type, found)) == {HostDown: 2000}
        assert (len(site.opened), site.most_open, transport.in_flight) == (6, 1, 0)

    async def test_a_burst_against_a_dead_host_is_bounded(self, clock: Clock) -> None:
        """With 16 slots at once, no more than the 16 that were under way ask beside the six probes."""
        site = Site(down=True)
        transport = paced(site, limit=16, probes=6)
        await asyncio.gather(*start(transport, 500))
        assert len(site.opened) <= 16 + 6

    async def test_waited_out(self, clock: Clock) -> None:
        """A host that goes away for two minutes costs no image: few probes, one at a time, the others waiting."""
        site = Site()
        transport = paced(site, limit=8)
        assert await read(transport, f"{URL}first") == b"x"
        tasks = start(transport, 100)
        await asyncio.sleep(1.5)
        site.down, began, before = True, clock.now, len(site.opened)
        asyncio.get_running_loop().call_later(120, setattr, site, "down", False)
        await asyncio.sleep(119)
        asked = [time - began for time, _ in site.opened[before:]]
        probes = [time for time in asked if time > 2]
        assert len(asked) < 8 + 80
        assert all(later - earlier >= 0.25 for earlier, later in itertools.pairwise(probes))
        assert await asyncio.gather(*tasks) == [b"x"] * 100
        assert clock.now - began < 120 + 30 + 13 + 2

    async def test_the_interval_grows(self, clock: Clock) -> None:
        """Probes come a quarter of a second apart at first, and a sixteenth of the time away later."""
        site = Site()
        transport = paced(site, limit=1, outage=3600)
        await read(transport, URL)
        site.down, began = True, clock.now
        task = asyncio.create_task(stubborn(transport, f"{URL}a", attempts=9999))
        other = asyncio.create_task(stubborn(transport, f"{URL}b", attempts=9999))
        await asyncio.sleep(1000)
        times = [time - began for time, _ in site.opened[1:]]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        assert gaps == pytest.approx([min(max(time / 16, 0.25), 30) for time in times[:-1]])
        site.down = False
        assert [await task, await other] == [b"x", b"x"]

    async def test_given_up_when_the_time_is_up(self, clock: Clock) -> None:
        """After `outage` seconds all that wait end with HostDown at once, and so does whoever comes later, unasked."""
        site = Site()
        transport = paced(site, limit=4, outage=60)
        await read(transport, URL)
        site.down, began = True, clock.now
        found = await asyncio.gather(*[stubborn(transport, f"{URL}{n}", attempts=9999) for n in range(50)])
        assert Counter(map(type, found)) == {HostDown: 50}
        assert clock.now - began == pytest.approx(60)
        asked = len(site.opened)
        assert isinstance(await outcome(transport, f"{URL}late"), HostDown)
        assert len(site.opened) == asked

    async def test_another_host_goes_on(self, clock: Clock) -> None:
        """A host that is down holds nothing up but its own transfers."""
        bad: set[str] = set()
        site = Site(fails=lambda url: Stalled("silence", answered=False) if url[:10] in bad else None)
        transport = paced(site, outage=9999)
        assert await read(transport, "http://bad/first") == b"x"
        bad.add("http://bad")
        waiting = [asyncio.create_task(stubborn(transport, f"http://bad/{n}", attempts=9999)) for n in range(20)]
        await asyncio.sleep(50)
        assert transport.host_of("http://bad/").health.state is State.AWAY
        assert await read(transport, "http://good/a") == b"x"
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert transport.in_flight == 0

    async def test_the_return_is_told_to_the_policy(self, clock: Clock) -> None:
        """The policy hears of the return once, and the others go on at once."""
        site, policy = Site(), Fixed(8)
        transport = paced(site, policy=policy)
        await read(transport, URL)
        site.down = True
        asyncio.get_running_loop().call_later(5, setattr, site, "down", False)
        await asyncio.gather(*start(transport, 30))
        assert policy.returns == 1

    async def test_a_failed_probe_is_free(self, clock: Clock) -> None:
        """The probe's own failure carries the host's grace, so that no item pays for an outage."""
        site = Site()
        transport = paced(site, limit=1)
        await read(transport, URL)
        site.down = True
        errors = [await outcome(transport, f"{URL}a") for _ in range(5)]
        assert [error.grace for error in errors if isinstance(error, TemporaryError)] == [Grace.HOST_AWAY] * 5

    async def test_a_run_may_ask_an_ended_host_again(self, clock: Clock) -> None:
        """`forget_ended` gives an ended host another chance and leaves the others as they are."""
        site = Site(down=True)
        transport = paced(site, probes=1)
        await outcome(transport, URL)
        alive = transport.host_of("http://alive/")
        assert transport.host_of(URL).health.state is State.ENDED
        site.down = False
        transport.forget_ended()
        assert await read(transport, URL) == b"x"
        assert transport.host_of("http://alive/") is alive


class TestBlocked:
    async def test_twenty_refusals_end_it(self, clock: Clock) -> None:
        """Twenty refusals in a row, and of a thousand jobs no other is sent."""
        site = Site(fails=lambda _: Refused("403"))
        transport = paced(site, limit=1)
        found = await asyncio.gather(*[outcome(transport, f"{URL}{n}") for n in range(1000)])
        assert Counter(map(type, found)) == {Refused: 20, Blocked: 980}
        assert len(site.opened) == 20

    async def test_a_success_between_resets(self, clock: Clock) -> None:
        """One image in fifteen that goes through keeps a host from being taken for blocked."""
        site = Site(fails=lambda url: None if int(url.removeprefix(URL)) % 15 == 0 else Refused("403"))
        transport = paced(site, limit=1)
        found = await asyncio.gather(*[outcome(transport, f"{URL}{n}") for n in range(150)])
        assert Counter(map(type, found)) == {Refused: 140, bytes: 10}


class TestCancel:
    async def test_a_waiter_for_a_slot(self, clock: Clock) -> None:
        """Cancelling one that waits for a slot leaves the others their turn and no slot held."""
        transport = paced(Site(), limit=1)
        tasks = start(transport, 4)
        await settle()
        tasks[1].cancel()
        assert await asyncio.gather(*tasks[:1], *tasks[2:]) == [b"x"] * 3
        assert transport.in_flight == 0

    async def test_the_probe(self, clock: Clock) -> None:
        """Cancelling the probe hands the turn to the next that waits, so that the outage is still found over."""
        site = Site()
        transport = paced(site, limit=4)
        await read(transport, URL)
        site.down = True
        tasks = [asyncio.create_task(stubborn(transport, f"{URL}{n}", attempts=9999)) for n in range(5)]
        await asyncio.sleep(3)
        for task in tasks[:-1]:
            before = len(site.opened)
            while len(site.opened) == before:
                await asyncio.sleep(0.01)
            task.cancel()
        await asyncio.sleep(1)
        site.down = False
        assert await tasks[-1] == b"x"
        await asyncio.wait(tasks)
        assert transport.in_flight == 0

    async def test_the_turn_that_was_just_given(self, clock: Clock) -> None:
        """A waiter cancelled between being given the probe and taking it passes it on."""
        site = Site()
        transport = paced(site, limit=1)
        await read(transport, URL)
        site.down = True
        await outcome(transport, f"{URL}found out")
        host = transport.host_of(URL)
        tasks = [asyncio.create_task(outcome(transport, f"{URL}{n}")) for n in range(2)]
        await settle()
        asyncio.get_running_loop().call_at(host.health.next_probe, tasks[0].cancel)
        site.down = False
        done, _ = await asyncio.wait(tasks, timeout=60)
        assert len(done) == 2
        assert (tasks[0].cancelled(), tasks[1].result(), transport.in_flight) == (True, b"x", 0)

    async def test_all_that_wait(self, clock: Clock) -> None:
        """Cancelling everybody during an outage leaves nothing, and the host can be asked again afterwards."""
        site = Site()
        transport = paced(site, limit=2)
        await read(transport, URL)
        site.down = True
        tasks = start(transport, 30)
        await asyncio.sleep(5)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert (transport.in_flight, site.open_now) == (0, 0)
        site.down = False
        assert await asyncio.wait_for(stubborn(transport, f"{URL}later", attempts=99), 60) == b"x"


steps = st.lists(
    st.tuples(st.sampled_from(["start", "start", "cancel", "down", "up", "wait"]), st.integers(0, 30)), max_size=40
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(plan=steps, limit=st.integers(1, 5))
async def test_held_never_leaks(plan: list[tuple[str, int]], limit: int) -> None:
    """Whatever begins, breaks, goes away and is cancelled: never over the limit beside one probe, and nothing left."""
    with pytest.MonkeyPatch.context() as patch:
        Clock(asyncio.get_running_loop(), patch)
        kinds = [None, None, None, Broken("reset"), Busy("503"), NotFound("404"), Refused("403")]
        site = Site(fails=lambda url: kinds[int(url.rpartition("/")[2]) % len(kinds)])
        transport = paced(site, limit=limit, outage=20, probes=3)
        tasks: list[asyncio.Task[bytes | TransferError]] = []
        for step, number in plan:
            match step:
                case "start":
                    tasks.append(asyncio.create_task(stubborn(transport, f"{URL}{number}")))
                case "cancel" if tasks:
                    tasks[number % len(tasks)].cancel()
                case "down" | "up":
                    site.down = step == "down"
                case _:
                    await asyncio.sleep(number / 4)
        site.down = False
        if tasks:
            _, waiting = await asyncio.wait(tasks, timeout=3600)
            assert not waiting
        assert (transport.in_flight, site.open_now) == (0, 0)
        assert site.most_open <= limit + 1


class _Slow(Fixed):
    """A policy that lets one transfer start in a thousand seconds."""

    def __init__(self) -> None:
        super().__init__(4)
        self._next = 0.0

    def ready_at(self, now: float) -> float:
        return max(now, self._next)

    def started(self, now: float) -> None:
        self._next = now + 1000


async def test_an_ended_host_holds_nobody_up(clock: Clock) -> None:
    """Once a host's work has ended all who wait for it hear so at once, however slowly it let transfers start."""
    began = clock.now
    transport = paced(Site(fails=lambda _: Refused("no", url=URL)), policy=_Slow())
    host = transport.host_of(URL)
    tasks = [asyncio.create_task(outcome(transport, f"{URL}{number}")) for number in range(50)]
    await settle()
    host.health._refused = 19
    tasks.append(asyncio.create_task(outcome(transport, f"{URL}last")))
    assert all(isinstance(one, TransferError) for one in await asyncio.gather(*tasks))
    assert clock.now - began < 1500
    assert host.limiter.held == 0
