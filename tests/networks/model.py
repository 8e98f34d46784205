"""A fetch over one host as a discrete-event model: a line, a server with its rules, and the client's slots.

The line is shared equally by the bodies under way (processor sharing in virtual time). Handshakes, slow start and the
server's time come before the body as latency, so that an image costs about four events.

The client is the one of the package: slots as `Limiter` gives them, full-jitter backoff an item with its slot free
meanwhile, back to the front of the queue, and one lone probe while the host is away. A fixed number of connections is
the plain client to compare with: it holds its slot through its backoff.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from math import ceil, exp, inf, log2

from roco_async.transfer.limits import Policy, Verdict

from .network import Connection, Network, Refusal, Result, Transfer

LAST_WINDOW = 1_000_000
IDLE = 5.0  # seconds that an unused connection stays open
LONGEST = 3600.0  # seconds of a run that is to be compared
LINGER = 1.0  # seconds that a connection which the server closed still counts there
LIMITS = (16, 32, 8, 64, 4, 128, 256, 2, 1)  # likely winners first: a run that cannot win is stopped


class Run:
    """One fetch, from the first request to the last byte."""

    def __init__(
        self, network: Network, seed: int, *, policy: Policy | None = None, fixed: int = 0, until: float = 3600.0
    ) -> None:
        self.network = network
        self.policy = policy
        self.fixed = fixed
        self.until = until
        self.chance = random.Random(f"{network.kind}/{seed}")
        sizes = random.Random(f"{network.kind}/{network.items}")
        self.queue = deque(
            Transfer(network.size * exp(network.spread * sizes.gauss(0, 1))) for _ in range(network.items)
        )
        self.undone = network.items
        self.now = 0.0
        self.events: list[tuple[float, int, Callable[..., None], tuple[object, ...]]] = []
        self.order = count()
        # the line
        self.bodies: list[tuple[float, int, Transfer]] = []
        self.flowing = 0
        self.virtual = 0.0
        self.share = 0.0
        self.capacity = network.line[0][1]
        # the server
        self.active = 0
        self.cap: float = network.caps[0][1] if network.caps else inf
        self.tokens = network.bucket
        self.tokens_at = 0.0
        self.banned_until = -inf
        self.busy = 0
        self.backlog: deque[tuple[Transfer, int]] = deque()
        self.seats: dict[Connection, None] = {}
        # the client
        self.idle: deque[Connection] = deque()
        self.held = 0
        self.resting = 0
        self.refusals = 0
        self.woken_at = inf
        self.run = 0  # failures in a row, the first of them at `run_at`
        self.run_at = 0.0
        self.away_since = inf
        self.probe_at = 0.0
        self.probes = 0
        self.probing = False
        self.pushed_away = False
        for at, rate in network.line[1:]:
            self.at(at, self.change_line, rate)
        for at, cap in network.caps[1:]:
            self.at(at, self.change_cap, cap)
        if network.outage[0] < inf:
            self.at(network.outage[0], self.cut)

    def at(self, time: float, what: Callable[..., None], *arguments: object) -> None:
        heappush(self.events, (time, next(self.order), what, arguments))

    def finish(self) -> Result:
        """Run to the end, or to `until`; a run that was stopped has taken infinitely long."""
        self.fill()
        events, bodies = self.events, self.bodies
        while self.undone:
            done = inf
            while bodies and bodies[0][2].alive != bodies[0][1]:
                heappop(bodies)
            if bodies:
                done = self.now + max(0.0, bodies[0][0] - self.virtual) / self.share
            if events and events[0][0] <= done:
                time, _, what, arguments = heappop(events)
                self.flow(time)
                what(*arguments)
            elif done < inf:
                self.flow(done)
                self.delivered(heappop(bodies)[2])
            else:
                raise RuntimeError("nothing is under way")
            if self.now > self.until:
                return Result(inf, self.refusals / self.network.items, self.limit)
        return Result(self.now, self.refusals / self.network.items, self.limit)

    def flow(self, time: float) -> None:
        if self.flowing:
            moved = self.share * (time - self.now)
            self.virtual += moved
            if self.policy is not None and moved > 0 and self.away_since == inf:
                self.policy.moved(int(moved * self.flowing))
        self.now = time

    def reshare(self) -> None:
        flows = self.flowing
        capacity = self.capacity
        if self.network.knee and flows > self.network.knee:
            capacity *= (self.network.knee / flows) ** self.network.slope
        self.share = capacity / max(1, flows + self.network.rivals)

    def change_line(self, rate: float) -> None:
        self.capacity = rate
        self.reshare()

    def begin_body(self, transfer: Transfer, token: int) -> None:
        if transfer.alive != token:
            return
        if self.down():
            self.leave_server(transfer)
            self.reset(transfer, token)
            return
        transfer.breaks_at = 0.0
        if self.network.breaks and self.chance.random() < self.network.fate:
            transfer.breaks_at = transfer.left * self.chance.random()
        self.flowing += 1
        self.reshare()
        heappush(self.bodies, (self.virtual + transfer.left - transfer.breaks_at, token, transfer))

    def delivered(self, transfer: Transfer) -> None:
        self.flowing -= 1
        self.reshare()
        self.leave_server(transfer)
        transfer.left = transfer.breaks_at
        transfer.alive = 0
        if transfer.left > 0:
            self.hang_up(transfer.connection)
            self.failed(transfer, pushed=False)
        else:
            self.put_back(transfer.connection)
            self.succeeded(transfer)

    def change_cap(self, cap: int) -> None:
        self.cap = cap

    def down(self) -> bool:
        begin, seconds = self.network.outage
        return begin <= self.now < begin + seconds

    def cut(self) -> None:
        """Reset all that is under way."""
        bodies, self.bodies[:] = list(self.bodies), []
        self.flowing = 0
        self.reshare()
        for _, token, transfer in bodies:
            if transfer.alive == token:
                transfer.left = max(1.0, transfer.left * 0.5)
                self.leave_server(transfer)
                self.reset(transfer, token)
        self.idle.clear()
        self.seats.clear()

    def arrive(self, transfer: Transfer, token: int) -> None:
        refusal = self.refusal(transfer.connection)
        if refusal is Refusal.NONE:
            self.active += 1
            transfer.asked = True
            if self.network.workers and self.busy >= self.network.workers:
                self.backlog.append((transfer, token))
            else:
                self.work(transfer, token)
            return
        back = self.now + self.network.rtt / 2
        if refusal is Refusal.RESET:
            self.at(back, self.reset, transfer, token)
        else:
            self.at(back, self.refused, transfer, token, self.network.retry_after if refusal is Refusal.RATE else 0.0)

    def refusal(self, connection: Connection) -> Refusal:
        network = self.network
        if self.down():
            return Refusal.RESET
        if self.over_cap(connection):
            return Refusal.RESET if network.resets else Refusal.BUSY
        if network.rate and self.over_rate():
            return Refusal.RATE
        if network.fate and not network.breaks and self.chance.random() < network.fate:
            return Refusal.BUSY
        return Refusal.NONE

    def over_cap(self, connection: Connection) -> bool:
        on = self.network.cap_on
        if on == "requests":
            return self.active >= self.cap
        if connection in self.seats:
            return False
        over = len(self.seats) >= self.cap
        if not over or on == "connections":
            self.seats[connection] = None
        if over and on == "connections":
            self.at(self.now + LINGER, self.close_seat, connection)
        return over

    def over_rate(self) -> bool:
        network = self.network
        if network.ban and self.now < self.banned_until:
            self.banned_until = self.now + network.retry_after
            return True
        self.tokens = min(network.bucket, self.tokens + (self.now - self.tokens_at) * network.rate)
        self.tokens_at = self.now
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return False
        self.banned_until = self.now + network.retry_after
        return True

    def work(self, transfer: Transfer, token: int) -> None:
        network = self.network
        think = network.think * (0.5 + 0.5 * self.chance.expovariate(1.0))
        if network.workers:
            self.busy += 1
            self.at(self.now + think, self.worked)
        if network.slow and self.chance.random() < network.slow:
            think += network.slow_time * self.chance.uniform(0.5, 1.5)
        window, trip = transfer.connection.window, network.rtt
        needed = ceil(log2(transfer.left / window + 1)) - 1
        useful = ceil(log2(max(1.0, self.capacity / (self.flowing + 1 + network.rivals) * trip / window)))
        rounds = max(0, min(needed, useful))
        transfer.connection.window = min(LAST_WINDOW, window * 2.0**rounds)
        queued = min(network.buffer, self.flowing * window / self.capacity)
        self.at(self.now + think + queued + trip * (0.5 + rounds), self.begin_body, transfer, token)

    def worked(self) -> None:
        self.busy -= 1
        if self.backlog:
            self.work(*self.backlog.popleft())

    def leave_server(self, transfer: Transfer) -> None:
        if transfer.asked:
            transfer.asked = False
            self.active -= 1

    def close_seat(self, connection: Connection) -> None:
        self.seats.pop(connection, None)

    def put_back(self, connection: Connection) -> None:
        connection.since = self.now
        self.idle.append(connection)

    def hang_up(self, connection: Connection) -> None:
        self.seats.pop(connection, None)

    def connection(self) -> Connection:
        while self.idle:
            found = self.idle.popleft()
            if self.now - found.since < IDLE:
                return found
            self.hang_up(found)
        return Connection()

    def begin(self, transfer: Transfer) -> None:
        transfer.began = self.now
        transfer.connection = connection = self.connection()
        trips = 2.5 if connection.fresh else 0.5
        connection.fresh = False
        transfer.alive = token = next(self.order)
        self.at(self.now + trips * self.network.rtt, self.arrive, transfer, token)

    def reset(self, transfer: Transfer, token: int) -> None:
        if transfer.alive == token:
            transfer.alive = 0
            self.hang_up(transfer.connection)
            self.failed(transfer, pushed=False)

    def refused(self, transfer: Transfer, token: int, wait: float) -> None:
        if transfer.alive == token:
            transfer.alive = 0
            if self.network.cap_on != "connections":
                self.put_back(transfer.connection)
            self.failed(transfer, pushed=True, retry_after=wait)

    @property
    def limit(self) -> int:
        return self.policy.limit if self.policy is not None else self.fixed

    def succeeded(self, transfer: Transfer) -> None:
        self.undone -= 1
        self.end(transfer, Verdict.SUCCESS, pushed=False, retry_after=0.0)
        self.held -= 1
        self.fill()

    def failed(self, transfer: Transfer, *, pushed: bool, retry_after: float = 0.0) -> None:
        self.refusals += 1
        wait = max(retry_after, self.chance.uniform(0.0, min(5.0, 0.1 * 2.0 ** min(6, transfer.tries))))
        transfer.tries += 1
        if self.policy is None:
            self.at(self.now + wait, self.begin, transfer)
            return
        self.end(transfer, Verdict.DROPPED, pushed=pushed, retry_after=retry_after)
        self.at(self.now + wait, self.again, transfer)
        self.held -= 1
        rest = self.policy.rest(self.now - transfer.began)
        if rest > 0:
            self.resting += 1
            self.at(self.now + rest, self.rested)
        self.fill()

    def again(self, transfer: Transfer) -> None:
        self.queue.appendleft(transfer)
        self.fill()

    def rested(self) -> None:
        self.resting -= 1
        self.fill()

    def wake(self) -> None:
        self.woken_at = inf
        self.fill()

    def fill(self) -> None:
        """Start what may start, as `Limiter` does."""
        while self.queue:
            if self.policy is not None:
                if self.away_since < inf:
                    if self.probing:
                        return
                    ready = self.probe_at
                elif self.held + self.resting >= self.policy.limit:
                    return
                else:
                    ready = self.policy.ready_at(self.now)
                if ready > self.now:
                    if ready < self.woken_at:
                        self.woken_at = ready
                        self.at(ready, self.wake)
                    return
                self.probing = self.away_since < inf
                self.policy.started(self.now)
            elif self.held >= self.fixed:
                return
            self.held += 1
            self.begin(self.queue.popleft())

    def end(self, transfer: Transfer, verdict: Verdict, *, pushed: bool, retry_after: float) -> None:
        """Tell the policy, unless the host is away, as the watch over the host does."""
        if self.policy is None:
            return
        dropped = verdict is Verdict.DROPPED
        if self.away_since < inf:
            if transfer.began <= self.away_since:
                return
            self.probing = False
            if dropped:
                self.probes += 1
                gap = min(30.0, max(0.25, (self.now - self.away_since) / 16))
                self.probe_at = self.now + max(retry_after, gap)
            else:
                self.away_since, self.run = inf, 0
                self.policy.came_back(now=self.now, probes=self.probes, pushed=self.pushed_away)
            return
        if dropped and not self.run:
            self.run_at = self.now
        self.run = self.run + 1 if dropped else 0
        self.policy.after(verdict, held=self.held + self.resting, now=self.now, began=transfer.began, pushed=pushed)
        many = 6 if retry_after else max(8, self.policy.limit)
        if self.run >= many and transfer.began >= self.run_at:
            self.away_since, self.probes, self.pushed_away = self.now, 0, pushed
            self.probe_at = self.now + max(0.25, retry_after)


def best_fixed(
    network: Network, seed: int, *, among: Sequence[int] = LIMITS, until: float = LONGEST
) -> tuple[float, int]:
    """Return the least time over fixed numbers of connections, in seconds, and that number; (`until`, 0) if none."""
    best, number = until, 0
    for fixed in among:
        time = Run(network, seed, fixed=fixed, until=best).finish().time
        if time < best:
            best, number = time, fixed
    return best, number
