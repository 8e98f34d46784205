"""The slots: who gets one, when, and that none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roco_async.transfer.limits import Limiter, Verdict
from tests.networks.aimd import Aimd
from tests.unit.clock import Clock, settle


class Told:
    """A policy whose limit, gap and rest a test sets by hand."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.ready = -inf
        self.resting = 0.0
        self.starts: list[float] = []

    def ready_at(self, now: float) -> float:
        return max(now, self.ready)

    def started(self, now: float) -> None:
        self.starts.append(now)

    def moved(self, count: int) -> None:
        pass

    def rest(self, took: float) -> float:
        return self.resting

    def after(self, verdict: Verdict, *, held: int, now: float, began: float, pushed: bool) -> int:
        return self.limit

    def full(self, places: int, *, now: float) -> None:
        self.limit = places

    def came_back(self, *, now: float, probes: int, pushed: bool) -> int:
        return self.limit


def release(limiter: Limiter, verdict: Verdict = Verdict.SUCCESS) -> None:
    limiter.release(verdict, began=asyncio.get_running_loop().time(), pushed=False)


async def queue_up(limiter: Limiter, names: str, got: list[str], *, first: bool = False) -> list[asyncio.Task[None]]:
    """Let tasks wait for a slot, one a letter; each adds its letter to `got` and keeps the slot."""

    async def one(name: str) -> None:
        await limiter.acquire(first=first)
        got.append(name)

    tasks = [asyncio.create_task(one(name)) for name in names]
    await settle()
    return tasks


async def stop(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_first_come_first_served() -> None:
    """Slots go out in the order of asking, and those who stand first come before all others, in their order."""
    limiter, got = Limiter(Told(1)), list[str]()
    tasks = await queue_up(limiter, "abc", got)
    tasks += await queue_up(limiter, "xy", got, first=True)
    for _ in range(4):
        release(limiter)
        await settle()
    assert "".join(got) == "axybc"
    await asyncio.gather(*tasks)


async def test_a_lowered_limit_admits_nobody_until_there_is_room() -> None:
    """After ten became five and then eight, with ten out, nobody is admitted before three are back."""
    policy = Told(10)
    limiter, got = Limiter(policy), list[str]()
    tasks = await queue_up(limiter, "abcdefghij" + "xyz", got)
    for limit in (5, 6, 7, 8):
        policy.limit = limit
        limiter.wake()
        await settle()
    assert limiter.held == 10
    release(limiter)
    release(limiter)
    await settle()
    assert (limiter.held, len(got)) == (8, 10)
    release(limiter)
    await settle()
    assert (limiter.held, "".join(got[10:])) == (8, "x")
    await stop(*tasks)


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_cancelled_waiter_passes_its_slot_on(turns: int) -> None:
    """A waiter that is cancelled just after it was woken gives the slot to the next."""
    limiter, got = Limiter(Told(1)), list[str]()
    await limiter.acquire()
    one, other = await queue_up(limiter, "ab", got)
    release(limiter)
    if turns == 0:
        one.cancel()
    await settle(turns)
    one.cancel()
    await settle()
    assert got == (["b"] if one.cancelled() else ["a"])
    assert limiter.held == 1
    await stop(one, other)


async def test_a_waiter_cancelled_before_a_release_is_passed_over() -> None:
    """A slot that falls free between a waiter's cancelling and its last turn goes to the next, without an error."""
    limiter, got = Limiter(Told(1)), list[str]()
    await limiter.acquire()
    one, other = await queue_up(limiter, "ab", got)
    one.cancel()
    release(limiter)
    await settle()
    assert got == ["b"]
    with pytest.raises(asyncio.CancelledError):
        await one
    await stop(other)


async def test_a_gap_between_starts_is_kept_to_the_moment(clock: Clock) -> None:
    """Who waits for the pacer alone starts when it says, without anybody's help."""
    policy = Told(4)
    limiter, got = Limiter(policy), list[str]()
    begin = clock.now
    policy.ready = begin + 0.25
    tasks = await queue_up(limiter, "a", got)
    await asyncio.gather(*tasks)
    assert policy.starts == [pytest.approx(begin + 0.25, abs=1e-3)]


async def test_a_gap_that_ends_early_is_not_waited_for(clock: Clock) -> None:
    """When the pacer goes off, `wake` lets waiters start at once."""
    policy = Told(4)
    limiter, got = Limiter(policy), list[str]()
    policy.ready = clock.now + 60
    begin = clock.now
    waiter = asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    policy.ready = -inf
    limiter.wake()
    assert await waiter == begin
    assert not got


async def test_a_resting_slot_is_free_again_in_time(clock: Clock) -> None:
    """The slot of a dropped transfer is held for its rest, and then given to who waits."""
    policy = Told(1)
    policy.resting = 2.0
    limiter, got = Limiter(policy), list[str]()
    await limiter.acquire()
    begin = clock.now
    release(limiter, Verdict.DROPPED)
    assert limiter.held == 0
    await asyncio.gather(*await queue_up(limiter, "a", got))
    assert policy.starts[-1] == pytest.approx(begin + 2.0, abs=1e-3)


async def test_no_timer_is_left() -> None:
    """When the last waiter is gone, so is the limiter's timer."""
    policy = Told(4)
    policy.ready = asyncio.get_running_loop().time() + 60
    limiter, got = Limiter(policy), list[str]()
    tasks = await queue_up(limiter, "ab", got)
    assert limiter._timer is not None
    await stop(*tasks)
    assert limiter._timer is None
    assert limiter.held == 0


async def test_giving_back_is_no_news() -> None:
    """A slot that is given back without a verdict is free, and the policy hears nothing."""
    limiter = Limiter(Aimd(8, start=2))
    await limiter.acquire()
    limiter.give_back()
    assert (limiter.held, limiter.limit) == (0, 2)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("limit"), st.integers(1, 12)),
        st.tuples(st.just("acquire"), st.integers(0, 1)),
        st.tuples(st.just("release"), st.integers(0, 1)),
        st.tuples(st.just("cancel"), st.integers(0, 30)),
        st.tuples(st.just("turn"), st.integers(0, 2)),
    ),
    max_size=60,
)


class Crowd:
    """Tasks that take slots, and a limiter that is watched at every step."""

    def __init__(self) -> None:
        self.policy = Told(3)
        self.limiter = Limiter(self.policy)
        self.tasks: list[asyncio.Task[float]] = []
        self.holding = 0

    async def one(self, *, first: bool) -> float:
        began = await self.limiter.acquire(first=first)
        self.holding += 1
        return began

    def step(self, what: str, number: int) -> None:
        if what == "limit":
            self.policy.limit = number
            self.limiter.wake()
        elif what == "acquire":
            self.tasks.append(asyncio.get_running_loop().create_task(self.one(first=bool(number))))
        elif what == "cancel" and self.tasks:
            self.tasks[number % len(self.tasks)].cancel()
        elif what == "release" and self.holding:
            self.holding -= 1
            if number:
                release(self.limiter, Verdict.DROPPED)
            else:
                self.limiter.give_back()

    async def watched(self, act: Callable[[], Awaitable[None] | None]) -> None:
        before, limit = self.limiter.held, self.policy.limit
        done = act()
        if done is not None:
            await done
        limit = max(limit, self.policy.limit)
        assert self.limiter.held <= max(before, limit)


async def live(steps: list[tuple[str, int]]) -> None:
    crowd = Crowd()
    for what, number in steps:
        if what == "turn":
            await crowd.watched(lambda turns=number: settle(turns))  # type: ignore[misc]
        else:
            await crowd.watched(lambda what=what, number=number: crowd.step(what, number))  # type: ignore[misc]
    await settle()
    assert crowd.limiter.held == crowd.holding
    waiting = [task for task in crowd.tasks if not task.done()]
    assert not waiting or crowd.limiter.held >= crowd.policy.limit
    for task in waiting:
        task.cancel()
    await settle()
    assert crowd.limiter.held == crowd.holding
    assert all(task.done() for task in crowd.tasks)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_held_never_grows_while_it_is_at_the_limit(steps: list[tuple[str, int]]) -> None:
    """Through any order of asking, giving back, cancelling and changes of the limit no slot is lost or made up."""
    asyncio.run(live(steps))
