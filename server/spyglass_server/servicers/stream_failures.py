"""One line of the log about the failed requests of a stream, whose own status is OK."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from threading import Lock

from spyglass_contract.errors import Cancelled, SpyglassError
from spyglass_server.engine.call import Call
from spyglass_server.streams import Request, Response

_log = logging.getLogger(__name__)

# A caller can make up any number of models: the log names some of them, by their first characters.
_LOGGED_KINDS = 20
_LOGGED_CHARACTERS = 100


class StreamFailures:
    """Counts the requests of one stream, and those that fail by model and reason."""

    def __init__(self) -> None:
        self._total = 0
        self._failed: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()

    def counting(self, handle: Callable[[Request, Call], Response]) -> Callable[[Request, Call], Response]:
        """Return `handle` with every request counted."""

        def counted(request: Request, call: Call) -> Response:
            self.count()
            try:
                return handle(request, call)
            except Exception as error:
                self.add(request.model.name, error)
                raise

        return counted

    def count(self) -> None:
        """Count a request."""
        with self._lock:
            self._total += 1

    def add(self, model: str, error: Exception) -> None:
        """Count a failed request to a model, unless its caller has cancelled it."""
        if isinstance(error, Cancelled):
            return
        kind = (model[:_LOGGED_CHARACTERS], error.reason if isinstance(error, SpyglassError) else "INTERNAL")
        with self._lock:
            self._failed[kind] += 1
            if len(self._failed) > _LOGGED_KINDS:
                self._failed["others", ""] += self._failed.pop(kind)

    def log(self) -> None:
        """Log how many requests failed, of which models, and why; nothing if none failed."""
        if self._failed:
            kinds = ", ".join(
                " ".join(filter(None, [model or "default model", reason, str(count)]))
                for (model, reason), count in self._failed.most_common()
            )
            _log.warning("%d of %d requests of a stream failed: %s", self._failed.total(), self._total, kinds)
