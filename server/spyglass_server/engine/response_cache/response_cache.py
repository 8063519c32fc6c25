"""The responses that a server keeps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Lock

from spyglass_contract.images.message import ImageData
from spyglass_server.engine.call import Caller
from spyglass_server.engine.response_cache.cache_entry import CacheEntry
from spyglass_server.engine.response_cache.keys import response_key
from spyglass_server.engine.response_cache.reuse import Reuse
from spyglass_server.engine.response_cache.segmented_lru import SegmentedLru
from spyglass_server.engine.work import Work

# They make large responses: serialising takes a millisecond for each megabyte, and Python's lock.
_THREADS = 2


class ResponseCache:
    """Successful responses by image, model and options; safe to use from any thread."""

    def __init__(self, limit_bytes: int, *, per_caller: bool = False) -> None:
        """Hold up to `limit_bytes` of memory. `per_caller`: callers with other names share no response."""
        self.limit_bytes = limit_bytes
        self.threads = ThreadPoolExecutor(_THREADS, "kept-response")
        """What sends large responses: the calling thread may be one that must not be busy for long."""
        self.hits = 0
        """Requests whose response was kept."""
        self.misses = 0
        """Requests that were begun without a kept response."""
        self._per_caller = per_caller
        self._kept = SegmentedLru(limit_bytes)
        self._lock = Lock()

    @property
    def held_bytes(self) -> int:
        """The bytes of memory that responses take now."""
        return self._kept.held_bytes

    @property
    def held(self) -> int:
        """The number of responses that are kept now."""
        return len(self._kept)

    @property
    def evicted(self) -> int:
        """The number of responses that others have pushed out."""
        return self._kept.evicted

    def entry(self, work: Work, reuse: Reuse, image: ImageData, caller: Caller) -> CacheEntry:
        """Return the place of a work's response. To hash the image takes about 0.5 ms for each megabyte."""
        owner = caller.name.encode() if self._per_caller else b""
        return CacheEntry(self, response_key(reuse.options, work.model.identity, owner, image), reuse)

    def find(self, key: bytes, *, last: bool) -> bytes | None:
        """Return what is kept for a key. `last`: if that is nothing, the request counts as a miss."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self.hits += 1
            elif last:
                self.misses += 1
            return kept

    def keep(self, key: bytes, kept: bytes) -> None:
        """Keep bytes for a key, unless they are too large."""
        with self._lock:
            self._kept.put(key, kept)

    def close(self) -> None:
        """End the threads."""
        self.threads.shutdown()
