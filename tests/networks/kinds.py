"""The kinds of network that the policies are judged on: a fixed set that is spread evenly, and random ones.

A kind has one main figure (the cap, the rate, the share that fails) that goes through its range from one network of the
fixed set to the next; all else is drawn by chance from a seed of its own.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import exp, log

from .network import Network

SECONDS = 15.0  # what a run should last with the best number of connections, about
LONGER = 40.0  # the same where the price of finding a cap is to be told from the price of keeping to it


def between(low: float, high: float, place: float) -> float:
    """Return the value at `place` (0 to 1) between two positive ones, on a logarithmic scale."""
    return exp(log(low) + place * (log(high) - log(low)))


def sized(network: Network, rate: float, seconds: float = SECONDS) -> Network:
    """Give the network as many images as `rate` a second can bring in that time, within reason."""
    return replace(network, items=int(min(2500.0, max(250.0, rate * seconds))))


def plain(kind: str, chance: random.Random) -> Network:
    return Network(
        kind=kind,
        items=0,
        size=between(30e3, 200e3, chance.random()),
        spread=chance.uniform(0.3, 1.0),
        rtt=between(0.005, 0.15, chance.random()),
        think=between(0.005, 0.06, chance.random()),
        line=((0.0, between(5e6, 60e6, chance.random())),),
    )


def carried(network: Network) -> float:
    """Return the images a second that the line carries when it is full."""
    return network.line[0][1] / (network.size * exp(network.spread**2 / 2))


def served(network: Network, number: float) -> float:
    """Return the images a second that `number` connections bring, at most."""
    trip = 2.5 * network.rtt + network.think
    return min(carried(network), number / (trip + number / carried(network)))


def cap(kind: str, place: float, chance: random.Random) -> Network:
    number = round(between(2, 50, place))
    made = replace(
        plain(kind, chance),
        caps=((0.0, number),),
        resets=kind != "refuses above k: 503",
        cap_on="newcomers" if "newcomer" in kind else "connections" if "counts" in kind else "requests",
    )
    if made.cap_on == "connections":
        made = replace(made, resets=False)
    return sized(made, served(made, number), LONGER)


def cap_moves(kind: str, place: float, chance: random.Random) -> Network:
    low, times = round(between(2, 12, chance.random())), between(4, 6, place)
    steps = [low, round(low * times)]
    if place > 0.5:
        steps.reverse()
    at = LONGER / 2
    made = replace(plain(kind, chance), caps=((0.0, steps[0]), (at, steps[1])), resets=chance.random() < 0.5)
    return sized(made, (served(made, steps[0]) + served(made, steps[1])) / 2, LONGER)


def rate(kind: str, place: float, chance: random.Random) -> Network:
    number = between(4, 100, place)
    made = replace(
        plain(kind, chance),
        rate=number,
        bucket=chance.choice((1.0, number / 2, number)),
        retry_after=0.0 if "503" in kind else float(chance.choice((1, 2, 3))),
        ban="banned" in kind,
    )
    return sized(made, min(number * 2, carried(made)))


def fate(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), fate=between(0.02, 0.3, place), breaks="break" in kind)
    made = replace(made, line=((0.0, between(3e6, 15e6, chance.random())),))
    return sized(made, served(made, 128) * 0.8)


def knee(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), knee=round(between(3, 40, place)), slope=chance.uniform(0.6, 1.2))
    made = replace(made, line=((0.0, between(1e6, 8e6, chance.random())),))
    return sized(made, served(made, made.knee), LONGER)


def far(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), rtt=between(0.1, 0.3, place), size=between(80e3, 200e3, chance.random()))
    made = replace(made, line=((0.0, between(30e6, 120e6, chance.random())),))
    return replace(made, items=6000)


def near(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), rtt=between(0.001, 0.005, place), think=0.004)
    return sized(made, carried(made))


def thin(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), line=((0.0, between(40e3, 500e3, place)),))
    return sized(made, carried(made) * 3)


def full(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), line=((0.0, between(1e6, 6e6, place)),))
    return sized(made, carried(made))


def deep(kind: str, place: float, chance: random.Random) -> Network:
    return replace(full(kind, place, chance), buffer=between(0.2, 2.0, chance.random()))


def line_slower(kind: str, place: float, chance: random.Random) -> Network:
    made = plain(kind, chance)
    before = made.line[0][1]
    made = replace(made, line=((0.0, before), (SECONDS / 3, before / between(4, 20, place))))
    return sized(made, served(made, 256) / 2)


def line_faster(kind: str, place: float, chance: random.Random) -> Network:
    made = plain(kind, chance)
    after = made.line[0][1]
    made = replace(made, line=((0.0, after / between(4, 20, place)), (SECONDS / 3, after)))
    return sized(made, carried(made) * 4)


def rival(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), rivals=round(between(4, 64, place)))
    made = replace(made, line=((0.0, between(2e6, 15e6, chance.random())),))
    return sized(made, carried(made) * 0.8)


def queues(kind: str, place: float, chance: random.Random) -> Network:
    number = round(between(2, 50, place))
    made = replace(plain(kind, chance), workers=number, think=between(0.02, 0.2, chance.random()))
    return sized(made, min(carried(made), number / made.think))


def slow(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), slow=0.05, slow_time=between(1.0, 8.0, place))
    return sized(made, served(made, 128) * 0.8)


def outage(kind: str, place: float, chance: random.Random) -> Network:
    made = replace(plain(kind, chance), outage=(chance.uniform(2.0, 8.0), between(4, 30, place)))
    return sized(made, served(made, 128))


KINDS: dict[str, tuple[int, Callable[[str, float, random.Random], Network]]] = {
    "refuses above k: 503": (4, cap),
    "refuses above k: reset": (4, cap),
    "refuses only the newcomer": (4, cap),
    "counts connections": (3, cap),
    "k moves": (4, cap_moves),
    "request rate, 503": (4, rate),
    "request rate, 429": (4, rate),
    "request rate, early comers banned": (3, rate),
    "2-30 % break": (5, fate),
    "2-30 % are 503": (4, fate),
    "goodput falls above k": (4, knee),
    "far and wide": (4, far),
    "near and wide": (2, near),
    "thin": (4, thin),
    "full": (3, full),
    "deeply buffered": (3, deep),
    "line becomes slower": (3, line_slower),
    "line becomes faster": (3, line_faster),
    "competitor": (4, rival),
    "server queues above k": (4, queues),
    "slow first bytes": (3, slow),
    "outage": (4, outage),
}


def fixed_set() -> Iterator[Network]:
    """Yield the 80 networks that the ceilings are asserted on."""
    for kind, (number, make) in KINDS.items():
        for one in range(number):
            yield make(kind, (one + 0.5) / number, random.Random(f"{kind} {one}"))


def held_out(number: int, seed: int) -> Iterator[Network]:
    """Yield `number` random networks, the kinds by turns, that nothing was tuned on as long as `seed` is new."""
    names = list(KINDS)
    chance = random.Random(seed)
    for one in range(number):
        kind = names[one % len(names)]
        yield KINDS[kind][1](kind, chance.random(), chance)
