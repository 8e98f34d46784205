"""Rows: what breaks on the way of a package, alike on several roads."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

from roco_async import Reason
from tests.servers.faults import Behaviour, Cut, Fault, Reset, Stall, Swap, Trickle
from tests.servers.ftp_faults import Data, FtpFault, Put, Said, Sent, Silence

from .folder_faults import Happening, fails
from .package_stage import (
    EARLY,
    LATE,
    LENGTH,
    LONG,
    MIDDLE,
    NEW,
    OURS,
    WHOLE,
    Folder,
    Ftp,
    Http,
    Nobody,
    Row,
    wants,
    whole,
)

BROKEN: Final = (Reason.BROKEN,)
AWAY: Final = (Reason.BROKEN, Reason.UNREACHABLE, Reason.HOST_DOWN)
LOST: Final = (Reason.NOT_FOUND,)
PUSHED: Final = 6
"""The most requests of two attempts that break off: others' successes excuse four of them (docs/architecture.md)."""
TURNED_AWAY: Final = 18
"""The most of two attempts that the server turns away, alike."""
THREE: Final = wants("a.jpg", "b.jpg", "none.jpg")
LACK: Final = {"none.jpg": Reason.NO_MEMBER}


def once(*does: Behaviour) -> Http:
    """The first request meets the first behaviour, the second one the second."""
    return Http(tuple(Fault(one, on=OURS, nth=number) for number, one in enumerate(does, 1)))


def always(*does: Behaviour) -> Http:
    return Http(tuple(Fault(one, on=OURS) for one in does))


def sent(*data: Data) -> Ftp:
    """The first transfer of the package fails like the first, the second one like the second."""
    return Ftp(tuple(Sent(one, on=OURS, nth=number) for number, one in enumerate(data, 1)))


def sent_always(data: Data) -> Ftp:
    return Ftp((Sent(data, on=OURS),))


def changes(to: bytes | None) -> tuple[Http, Ftp, Folder]:
    """Break in the middle, and be another file, or none, by the second try."""

    def change(file: Path) -> None:
        file.unlink()
        if to is not None:
            file.write_bytes(to)

    ftp: tuple[FtpFault, ...] = (Sent(Data(cut=MIDDLE), on=OURS, nth=1), Put("SIZE", to, on=OURS, nth=2))
    return (
        Http((Fault(Cut(MIDDLE), on=OURS, nth=1), Fault(Swap(to), on=OURS, nth=2))),
        Ftp(ftp),
        Folder((Happening(fails(errno.EIO), at="read", nth=1), Happening(change, at="open", nth=2))),
    )


def _cuts() -> list[Row]:
    rows = []
    for name, place in {"before the first picture": EARLY, "between the pictures": MIDDLE, "after the first byte": 1,
                        "in the gzip header": 5, "in the gzip header's last byte": 9, "behind the gzip header": 10,
                        "in the first byte of data": 11, "in the first tar header": 60}.items():  # fmt: skip
        rows += [
            Row(f"cut {name}, once", (once(Cut(place)), sent(Data(cut=place))), most=2, resumed=place),
            Row(f"reset {name}, once", (once(Cut(place, reset=True)), sent(Data(reset=place))), most=2, resumed=place),
        ]
    for name, place in {"behind the pictures": LATE, "before the trailer": len(WHOLE) - 9,
                        "before the last byte": len(WHOLE) - 1}.items():  # fmt: skip
        roads = (once(Cut(place)), sent(Data(cut=place)))
        rows += [
            Row(f"cut {name}: nobody needs the rest", roads, verified=LENGTH),
            Row(f"reset {name}: nobody needs the rest", (once(Cut(place, reset=True)), sent(Data(reset=place))),
                verified=LENGTH),
            Row(f"cut {name} while one is lacking", roads, most=2, wanted=THREE, lost=LACK, resumed=place),
        ]  # fmt: skip
    ever = (always(Cut(100)), sent_always(Data(cut=100)))
    slow = (always(Cut(20_000)), sent_always(Data(cut=20_000)))
    return [
        *rows,
        Row("cut before the body, once", (once(Cut(0)), sent(Data(cut=0))), most=2, resumed=None),
        Row("reset before the body, once", (once(Cut(0, reset=True)), sent(Data(reset=0))), most=2, resumed=None),
        Row("cut twice", (once(Cut(EARLY), Cut(20_000)), sent(Data(cut=EARLY), Data(cut=20_000))), most=3,
            resumed=EARLY, config={"attempts": 3}),
        Row("cut after each 20,000 bytes", slow, most=5, verified=LENGTH, resumed=20_000, config={"attempts": 5}),
        Row("cut after 100 bytes, for ever", ever, reason=BROKEN, most=PUSHED),
        Row("cut before the body, for ever", (always(Cut(0)), sent_always(Data(cut=0))), reason=BROKEN, most=PUSHED),
        Row("reset after 100 bytes, for ever", (always(Cut(100, reset=True)), sent_always(Data(reset=100))),
            reason=BROKEN, most=PUSHED),
        Row("a cut in a rest that nobody decodes", (always(Cut(len(LONG) - 9)), sent_always(Data(cut=len(LONG) - 9))),
            package=LONG, verified=LENGTH),
    ]  # fmt: skip


def _silences() -> list[Row]:
    stalled = (Reason.STALLED,)
    pause = (once(Stall(MIDDLE, 0.2)), Ftp((Sent(Data(pace=(32_768, 0.1)), on=OURS),)))
    others = "*PMC[234].tar.gz"
    crawls = Http((Fault(Trickle(15, 0.05), on=OURS, nth=1), Fault(Trickle(150, 0.02), on=others)))
    crawls_ftp = Ftp((Sent(Data(pace=(15, 0.05)), on=OURS, nth=1), Sent(Data(pace=(150, 0.02)), on=others)))
    short = {"timeout": 0.3, "attempts": 1}
    return [
        Row("stall between the pictures, once", (once(Stall(MIDDLE)), sent(Data(stall=MIDDLE))), most=2,
            resumed=MIDDLE),
        Row("stall before the body, once", (once(Stall(0)), sent(Data(stall=0))), most=2, resumed=None),
        Row("stall behind the pictures: nobody needs the rest", (once(Stall(LATE)), sent(Data(stall=LATE))),
            verified=LENGTH),
        Row("stall after 100 bytes, for ever", (always(Stall(100)), sent_always(Data(stall=100))), reason=stalled,
            most=4, config=short),
        Row("a pause under the timeout", pause),
        Row("a trickle while others move, once", (crawls, crawls_ftp), most=2, config={"timeout": 0.25}),
    ]  # fmt: skip


def _changes() -> list[Row]:
    longer, shorter = whole("new ", after=90_000, seed=7), whole("new ", after=0, seed=7)
    return [
        Row("changed in between", changes(NEW), most=2, version="new "),
        Row("changed in between, and longer", changes(longer), most=2, version="new "),
        Row("changed in between, and shorter", changes(shorter), most=2, version="new "),
        Row("changed in between, and cut short", changes(NEW[:MIDDLE]), most=3, reason=(Reason.DAMAGED,)),
        Row("changed in between, and empty", changes(b""), most=3, reason=(Reason.DAMAGED,)),
        Row("gone in between", changes(None), most=2, reason=LOST, permanent=True),
        Row("changed in between, and without the first picture", changes(whole("new ", seed=7, first="c.jpg")), most=2,
            version="new ", lost={"a.jpg": Reason.NO_MEMBER}),
    ]  # fmt: skip


def _doors() -> list[Row]:
    hello = Ftp((Said("greeting", Silence.CLOSED, nth=1),))
    return [
        Row("nobody listens", (Nobody("http"), Nobody("ftp")), reason=AWAY, most=0, for_all=True),
        Row("a host that has IPv6 only", (Http(host="::1"), Ftp(server={"host": "::1"}))),
        Row("reset, or closed, before a word, once", (once(Reset()), hello), most=2, config={"connections": 1}),
    ]


PACKAGES: Final = (*_cuts(), *_silences(), *_changes(), *_doors())
