"""Who is measured beside whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

from comparing.variants import classify_payload
from measuring.images import photo, tiny
from measuring.stream_loop import StreamTarget
from measuring.targets import CLASSIFY, CLASSIFY_STREAM, GrpcTarget
from measuring.window import Window
from overloading.flood import Flood, run_flood, run_stream_flood

BULK = (("x-priority", "bulk"),)
_MANY = 1000


@dataclass(frozen=True)
class Scenario:
    """A caller that sends one request after the other (`victim`), and the load beside it."""

    name: str
    victim: GrpcTarget | StreamTarget
    flood: Flood
    run_flood: Callable[[Flood, Window], Counter[str]]

    @property
    def lone_load(self) -> GrpcTarget:
        """The load's request as a single call."""
        return replace(self.flood.target, method=CLASSIFY)


def scenarios(address: str, model: str, tiny_model: str) -> list[Scenario]:
    """Return all scenarios of a server at `address`; photographs go to `model`, tiny ones to `tiny_model`."""
    photograph = classify_payload(model, photo(500, 375))
    small = classify_payload(tiny_model, tiny())
    unary = GrpcTarget(address, CLASSIFY, photograph)
    tiny_unary = GrpcTarget(address, CLASSIFY, small)
    stream = GrpcTarget(address, CLASSIFY_STREAM, photograph)
    one_message = StreamTarget(address, CLASSIFY_STREAM, photograph, under_way=1)
    return [
        Scenario("photographs beside 1,000 calls of another caller", unary, Flood(unary, _MANY), run_flood),
        Scenario(
            "tiny images beside 1,000 calls of another caller",
            tiny_unary,
            Flood(tiny_unary, _MANY),
            run_flood,
        ),
        Scenario(
            "photographs beside 1,000 calls of eight callers",
            unary,
            Flood(unary, _MANY, channels=8),
            run_flood,
        ),
        Scenario("tiny images beside 1,000 photographs", tiny_unary, Flood(unary, _MANY), run_flood),
        Scenario(
            "photographs beside 1,000 photographs of bulk priority",
            unary,
            Flood(unary, _MANY, metadata=BULK),
            run_flood,
        ),
        Scenario(
            "photographs beside a stream of 1,000 images ahead", unary, Flood(stream, _MANY), run_stream_flood
        ),
        Scenario(
            "a stream of one image at a time beside 1,000 calls", one_message, Flood(unary, _MANY), run_flood
        ),
    ]
