"""Limits on waiting."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real

from spyglass_contract.errors import InvalidInput

# Longer times do not fit everywhere: gRPC's clocks overflow at 292 years.
_FOR_EVER = 10 * 365.25 * 24 * 3600


@dataclass(frozen=True)
class Timeout:
    """Limits on waiting, in seconds.

    `call` limits one call from its first to its last attempt, and each image of a stream from the moment it
    is taken; None or infinity: no limit. `connect` limits one attempt to reach the server. Raises ValueError
    unless both are numbers above 0.
    """

    call: float | None = 30.0
    connect: float = 5.0

    def __post_init__(self) -> None:
        if not is_time(self.connect) or (self.call is not None and not is_time(self.call)):
            raise ValueError(f"Timeout needs call > 0 and connect > 0, not {self}")

    def override(self, seconds: float | None) -> float | None:
        """Return `seconds` if it is not None, else `call`; None: no limit.

        Raises InvalidInput unless `seconds` is a number above 0.
        """
        if seconds is not None and not is_time(seconds):
            raise InvalidInput(
                f"timeout must be a positive number of seconds, not {seconds!r}",
                reason="TIMEOUT_INVALID",
                field="timeout",
            )
        limit = self.call if seconds is None else seconds
        return None if limit is None or limit > _FOR_EVER else float(limit)


def is_time(seconds: float) -> bool:
    """Return whether this is a number above 0, which infinity is and NaN is not."""
    return isinstance(seconds, Real) and not isinstance(seconds, bool) and bool(seconds > 0)
