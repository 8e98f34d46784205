"""Is the host there? Pure: told what happened and when, it says whether to go on, wait, probe or stop.

States: UP until something says otherwise. AWAY: nobody asks but one probe at a time. ENDED: nobody asks any more.
A host goes away when it plainly answers nobody: failures in a row without one success, at least eight (six where it
says Retry-After) and as many as are allowed at once, the last of them begun after the first had failed; or no
connection while nothing else is under way; or no connection at the very first try. A URL that has the server's own
error (500) again and again although others came through, or that is redirected to a host that is down, says nothing
about its own host, and pays for its tries.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ..errors import Blocked, Busy, Grace, HostDown, Refused, ServerError, Stalled, TemporaryError, Unreachable

_BLOCKED_AFTER: Final = 20
_AWAY_AFTER: Final = 8
_AWAY_AFTER_RETRY_AFTER: Final = 6
_SHORTEST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 30.0
_PAUSE_SHARE: Final = 1 / 16
_REMEMBERED: Final = 4096


class State(Enum):
    UP = "up"
    AWAY = "away"
    ENDED = "ended"


@dataclass(slots=True, eq=False)
class Try:
    """One transfer as the watch sees it: when it began, what the host had done by then, whether it is the probe,
    whether it was broken off while others were answered, or to make room for them, whether its connection is a new one,
    and whether the host serves it."""

    url: str
    began: float
    answers: int
    successes: int
    is_probe: bool = False
    was_left: bool = False
    made_room: bool = False
    is_fresh: bool = False
    is_served: bool = False


class Health:
    """The watch over one host.

    Args:
        outage: seconds that a host which had answered is waited for.
        probes: how often a host that never answered is asked.
    """

    def __init__(self, *, outage: float, probes: int) -> None:
        self._outage = outage
        self._probes_allowed = probes
        self._ending: TemporaryError | None = None
        self.answers = 0
        self._was_heard = False
        self._successes = 0
        self._served = 0
        self._run = 0
        self._run_url = ""
        self._run_is_of_many = False
        self._run_began = 0.0
        self._refused = 0
        self._in_error: dict[str, int] = {}  # by URL: successes at its last such error
        self._away_since: float | None = None
        self._failed_probes = 0
        self.pushed = False
        self.next_probe = 0.0

    @property
    def state(self) -> State:
        if self._ending is not None:
            return State.ENDED
        return State.UP if self._away_since is None else State.AWAY

    @property
    def lone_probes(self) -> int:
        """Probes that failed while the others waited: the failure that took the host away is none of them."""
        return self._failed_probes - 1

    def ending(self, url: str) -> TemporaryError:
        """The error for whoever would ask a host whose work has ended."""
        assert self._ending is not None
        error = type(self._ending)(self._ending.message, url=url)
        error.reason = self._ending.reason
        return error

    def began(self, url: str, now: float, *, is_probe: bool = False) -> Try:
        return Try(url, now, self.answers, self._successes, is_probe)

    def answered(self, a_try: Try) -> bool:
        """Take note of an answer that turns nobody away; True if the host was away and is back."""
        self.answers += 1
        self._was_heard = True
        self._served += 1
        a_try.is_served = True
        self._run = 0
        back = self._away_since is not None and a_try.is_probe
        if back:
            self._away_since = None
        return back

    def over(self, a_try: Try) -> None:
        """Take note that a transfer has ended, however; what came of it is told next."""
        if a_try.is_served:
            self._served -= 1

    def succeeded(self) -> None:
        """Take note of a transfer that went through to its end."""
        self._successes += 1
        self._run = 0
        self._refused = 0

    def failed(self, error: TemporaryError, a_try: Try, now: float, *, limit: int, others: int) -> None:
        """Take note of a failure: set `error.grace`, and change state if it is one too many.

        Args:
            error: what ended the try.
            a_try: what `began` returned.
            now: seconds of a monotonic clock.
            limit: transfers allowed at once just now.
            others: other transfers of this host under way.
        """
        if error.answered:
            self._was_heard = True  # a 503 is no help to anybody, and yet somebody is there
        if isinstance(error, Refused):
            if not error.elsewhere:
                self._note_refusal(error)
            return
        if not error.overload and error.answered:
            return
        is_away = self._away_since is not None
        if self._is_the_objects_own(error, a_try.url) and not is_away:
            error.grace = self._grace(error, a_try)
            error.overload &= not error.elsewhere
            return
        self._note_run(a_try.url, now)
        if is_away:
            if a_try.is_probe:
                self._probe_failed(error, now)
            error.grace = Grace.HOST_AWAY
        elif self._is_away(error, a_try, limit=limit, others=others):
            self._away_since = now
            self._failed_probes = 0
            self.pushed = isinstance(error, Busy)
            self._probe_failed(error, now)
            error.grace = Grace.HOST_AWAY
        else:
            error.grace = self._grace(error, a_try)

    def _note_refusal(self, error: Refused) -> None:
        self.answers += 1
        self._refused += 1
        if self._refused >= _BLOCKED_AFTER and self._ending is None:
            self._ending = Blocked(f"the host refused {self._refused} in a row, the last: {error.message}")

    def _is_the_objects_own(self, error: TemporaryError, url: str) -> bool:
        """Whether a URL fails again, by itself or where it redirects to, others having come through since then."""
        if not isinstance(error, ServerError) and not (error.elsewhere and isinstance(error, Unreachable | Stalled)):
            return False
        if len(self._in_error) >= _REMEMBERED:
            self._in_error.clear()
        before, self._in_error[url] = self._in_error.get(url, self._successes), self._successes
        return before < self._successes

    def _grace(self, error: TemporaryError, a_try: Try) -> Grace:
        if a_try.made_room or a_try.was_left:
            return Grace.BROKEN_OFF
        if self._successes > a_try.successes or self._served > 0:
            return Grace.PUSHED_BACK
        if not error.answered and self.answers == a_try.answers and self._others_fail_too(error):
            return Grace.HOST_AWAY
        return Grace.NONE

    def _others_fail_too(self, error: TemporaryError) -> bool:
        return self._run_is_of_many or isinstance(error, Unreachable)

    def _note_run(self, url: str, now: float) -> None:
        if self._run == 0:
            self._run_url, self._run_is_of_many, self._run_began = url, False, now
        elif url != self._run_url:
            self._run_is_of_many = True
        self._run += 1

    def _is_away(self, error: TemporaryError, a_try: Try, *, limit: int, others: int) -> bool:
        if isinstance(error, Unreachable) and not error.elsewhere and (others == 0 or self.answers == 0):
            return True
        if not self._run_is_of_many or a_try.began < self._run_began:
            return False  # a burst that began together is one piece of news
        enough = _AWAY_AFTER_RETRY_AFTER if error.retry_after else max(_AWAY_AFTER, min(limit, others + 1))
        return self._run >= enough

    def _probe_failed(self, error: TemporaryError, now: float) -> None:
        assert self._away_since is not None
        self._failed_probes += 1
        away, time_is_up = now - self._away_since, self._away_since + self._outage
        never_answered = not self._was_heard
        if self._failed_probes >= self._probes_allowed if never_answered else now >= time_is_up:
            self._ending = HostDown(self._epitaph(error, away, never_answered=never_answered))
            if error.answered:
                self._ending.reason = error.reason
            return
        pause = max(min(max(away * _PAUSE_SHARE, _SHORTEST_PAUSE), _LONGEST_PAUSE), error.retry_after or 0.0)
        self.next_probe = now + pause
        if not never_answered:  # the last probe comes when the time is up, not after it
            self.next_probe = min(self.next_probe, time_is_up)

    def _epitaph(self, error: TemporaryError, away: float, *, never_answered: bool) -> str:
        if never_answered:
            return f"the host never answered ({self._failed_probes} tries); the last: {error.message}"
        return f"the host did not come back within {away:.0f} s; the last: {error.message}"
