"""A token bucket: so many units a second in the long run, and a few at once after a quiet time."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Bucket:
    """`level` tokens were in it at `at_ns`; below 0 they are owed. It fills with `rate` a second up to `most`."""

    rate: float
    most: float
    level: float
    at_ns: int


def full(rate: float, most: float, now_ns: int) -> Bucket:
    """A bucket that nothing was taken from yet."""
    return Bucket(rate, most, most, now_ns)


def taken(bucket: Bucket, amount: float, now_ns: int) -> tuple[Bucket, float]:
    """The bucket after an amount of any size was taken, and how many seconds to wait before the next is taken."""
    level = min(bucket.most, bucket.level + bucket.rate * (now_ns - bucket.at_ns) * 1e-9) - amount
    return replace(bucket, level=level, at_ns=now_ns), max(0.0, -level / bucket.rate)
