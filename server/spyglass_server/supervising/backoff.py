"""How long the supervisor waits before it replaces a worker."""

from __future__ import annotations

FIRST_SECONDS = 0.5
LONGEST_SECONDS = 30.0
# A worker that served for so long has not ended because of its start.
_STEADY_SECONDS = 10.0


class Backoff:
    """The pauses before one worker is replaced: none, unless it keeps ending at its start."""

    def __init__(self) -> None:
        self._soon_ended = 0

    def after(self, served_seconds: float) -> float:
        """Return the pause in seconds after a worker that served for so long, 0 if it never did.

        There is none for a worker that has served, the first time; the others double from 0.5 s to 30 s.
        """
        if served_seconds >= _STEADY_SECONDS:
            self._soon_ended = 0
            return 0.0
        step = self._soon_ended if served_seconds else max(self._soon_ended, 1)
        self._soon_ended = step + 1
        return min(FIRST_SECONDS * 2.0 ** min(step - 1, 16), LONGEST_SECONDS) if step else 0.0
