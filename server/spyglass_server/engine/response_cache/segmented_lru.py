"""Bytes by key, bounded by the memory that they take; the least recently used go first."""

from __future__ import annotations

import sys
from collections import OrderedDict

# Of the bound: the entries that were read again, and the largest entry.
_PROTECTED_PART = 0.8
_LARGEST_PART = 1 / 16
# What an entry of an `OrderedDict` takes beside its key and its value: 186 bytes were measured just after its
# table has grown, and about 70 just before.
_ENTRY_BYTES = 192


class SegmentedLru:
    """A segmented LRU cache; not safe for several threads.

    A new entry is on probation, and one that is read again is protected. Entries on probation go first, so
    that a caller who sends many images once does not push out those that are sent again and again. After
    Karedla, Love and Wherry, "Caching Strategies to Improve Disk System Performance", IEEE Computer 27(3),
    1994.
    """

    def __init__(self, limit_bytes: int) -> None:
        """`limit_bytes` bounds keys, values and the memory for their order."""
        self.limit_bytes = limit_bytes
        self.largest_bytes = int(limit_bytes * _LARGEST_PART)
        """An entry that takes more is not kept: it would push out many others."""
        self.held_bytes = 0
        self.evicted = 0
        """Entries that were pushed out by others."""
        self._probation: OrderedDict[bytes, bytes] = OrderedDict()
        self._protected: OrderedDict[bytes, bytes] = OrderedDict()
        self._protected_bytes = 0

    def __len__(self) -> int:
        return len(self._probation) + len(self._protected)

    def get(self, key: bytes) -> bytes | None:
        """Return the value of a key, None: there is none."""
        value = self._protected.get(key)
        if value is not None:
            self._protected.move_to_end(key)
            return value
        value = self._probation.pop(key, None)
        if value is not None:
            self._protect(key, value)
        return value

    def put(self, key: bytes, value: bytes) -> None:
        """Keep a value, unless it is too large or its key has one."""
        size = _size(key, value)
        if size > self.largest_bytes or key in self._protected or key in self._probation:
            return
        while self.held_bytes + size > self.limit_bytes:
            self._evict()
        self._probation[key] = value
        self.held_bytes += size

    def _protect(self, key: bytes, value: bytes) -> None:
        self._protected[key] = value
        self._protected_bytes += _size(key, value)
        while self._protected_bytes > _PROTECTED_PART * self.limit_bytes:
            oldest = self._protected.popitem(last=False)
            self._protected_bytes -= _size(*oldest)
            self._probation[oldest[0]] = oldest[1]

    def _evict(self) -> None:
        # Some are on probation: all protected ones together leave room for the largest entry.
        oldest = self._probation.popitem(last=False)
        self.held_bytes -= _size(*oldest)
        self.evicted += 1


def _size(key: bytes, value: bytes) -> int:
    """Return the bytes of memory that an entry takes."""
    return sys.getsizeof(key) + sys.getsizeof(value) + _ENTRY_BYTES
