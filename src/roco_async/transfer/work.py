"""What the limit's trials are judged by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Work:
    """What came in a second, as bytes and as answers: each alone is the noisier one somewhere."""

    bytes: float
    answers: float

    def over(self, other: Work) -> float:
        """Return the ratio to other work, 1 if they are alike."""
        pairs = ((self.bytes, other.bytes), (self.answers, other.answers))
        ratios = [mine / its for mine, its in pairs if its > 0]
        return sum(ratios) / len(ratios) if ratios else 1.0

    def times(self, factor: float) -> Work:
        return Work(self.bytes * factor, self.answers * factor)

    def towards(self, other: Work, part: float) -> Work:
        """Return this work moved by `part` of the way to the other."""
        mine, its = self.times(1 - part), other.times(part)
        return Work(mine.bytes + its.bytes, mine.answers + its.answers)
