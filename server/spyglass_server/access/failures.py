"""Refused calls, logged at most once a minute for each address."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

_log = logging.getLogger(__name__)

_SECONDS = 60.0
_MAX_ADDRESSES = 1024


@dataclass
class _Refused:
    """The refused calls of one address since the last line about it."""

    logged: float
    count: int = 0


class Failures:
    """Counts refused calls. It knows the last 1024 addresses, so a caller with many of them takes no memory.

    No address is locked out: nobody can guess a token, and other callers may share the address.
    """

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Refused] = OrderedDict()
        self._lock = Lock()

    def add(self, address: str, reason: str) -> None:
        """Count a call of `address` that was refused for `reason`, and log it if no line is too recent."""
        now = time.monotonic()
        with self._lock:
            refused = self._addresses.pop(address, None) or _Refused(now - _SECONDS)
            self._addresses[address] = refused
            if len(self._addresses) > _MAX_ADDRESSES:
                self._addresses.popitem(last=False)
            refused.count += 1
            if now - refused.logged < _SECONDS:
                return
            count, refused.count, refused.logged = refused.count, 0, now
        _log.warning("calls of %s were refused: %d, the last one with %s", address, count, reason)
