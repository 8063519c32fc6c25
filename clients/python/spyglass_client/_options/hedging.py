"""When to send a request a second time before the first one has failed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from spyglass_client._options.timeouts import is_time

MAX_HEDGED = 5


@dataclass(frozen=True)
class Hedging:
    """When to send a request to another server, because the response is late: a hedged request.

    If `delay` seconds after an attempt there is no response, the client sends the request again, to another
    server if there is one; at most `at_most` attempts of a request run at the same time. The first response
    wins, and the client cancels the others (Dean and Barroso, "The Tail at Scale", 2013; gRPC's proposal A6
    has the same rules). Hedging is for the calls of one image, which have no effect other than their
    response; streams are not hedged. Each attempt after the first takes a token of the retry budget, and
    without a token there is none.

    A good `delay` is the 95th percentile of the response times: then 5 % of the requests are sent twice.
    Raises ValueError unless delay > 0 and 2 <= at_most <= 5.
    """

    delay: float
    at_most: int = 2

    def __post_init__(self) -> None:
        if (
            not is_time(self.delay)
            or math.isinf(self.delay)
            or not isinstance(self.at_most, int)
            or not 2 <= self.at_most <= MAX_HEDGED
        ):
            raise ValueError(
                f"Hedging needs a finite delay > 0 in seconds and a whole number at_most from 2 to "
                f"{MAX_HEDGED}, not {self}"
            )
