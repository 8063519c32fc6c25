"""The place of one response in the cache."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from spyglass_server.engine.call import Call
from spyglass_server.engine.response_cache.reuse import Reuse
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.engine.work import Work

if TYPE_CHECKING:
    from spyglass_server.engine.response_cache.response_cache import ResponseCache

_log = logging.getLogger(__name__)

# A response with more bytes takes too long to make for gRPC's own thread.
_SMALL_BYTES = 128 * 1024


class CacheEntry:
    """The place of the response to one request: there is one, or its work will put it there."""

    def __init__(self, cache: ResponseCache, key: bytes, reuse: Reuse) -> None:
        self._cache = cache
        self._key = key
        self._reuse = reuse
        # The response became known while the work waited.
        self._found = False

    def respond(self, call: Call, done: Done) -> bool:
        """Give `done` the response if it is kept, at once or from another thread; return whether it is."""
        kept = self._cache.find(self._key, last=False)
        if kept is None:
            return False
        if call.observation:
            call.observation.cached = True
        if len(kept) <= _SMALL_BYTES:
            self._respond(kept, call, done)
        else:
            self._cache.threads.submit(self._respond, kept, call, done)
        return True

    def looking_again(self, work: Work) -> Work:
        """Return a work that looks for its response again when its turn comes.

        While it waited, an equal request may have been answered.
        """
        return replace(work, ready=self._ready)

    def keeping(self, done: Done) -> Done:
        """Return `done` that keeps the response first; errors are not kept."""

        def keep(response: object, error: Exception | None) -> None:
            if error is None and not self._found:
                self._keep(response)
            done(response, error)

        return keep

    def _keep(self, response: object) -> None:
        try:
            self._cache.keep(self._key, self._reuse.kept(response))
        # The caller gets the response all the same.
        except Exception:
            _log.exception("a response could not be kept")

    def _ready(self, queue_ms: float) -> object | None:
        kept = self._cache.find(self._key, last=True)
        if kept is None:
            return None
        self._found = True
        return self._reuse.restored(kept, queue_ms)

    def _respond(self, kept: bytes, call: Call, done: Done) -> None:
        response, failure = None, None
        try:
            call.remaining()
            response = self._reuse.restored(kept, 0.0)
        except Exception as error:
            failure = error
        try:
            done(response, failure)
        # The calling thread takes an error for one of a request that has not ended yet.
        except Exception:
            _log.exception("the response of a request could not be sent")
