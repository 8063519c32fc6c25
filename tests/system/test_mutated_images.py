"""Real files with a few changed bytes: the server classifies or rejects each of them."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef

MUTATIONS = 600
EXPECTED = {0, grpc.StatusCode.INVALID_ARGUMENT.value[0], grpc.StatusCode.OUT_OF_RANGE.value[0]}
EDGES = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xff\xff"]


def mutate(data: bytes, chance: random.Random) -> bytes:
    mutated = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        # Bytes in headers have the most effect.
        place = chance.randrange(min(len(mutated), chance.choice([40, 200, 1000, len(mutated)])))
        match chance.randrange(4):
            case 0:
                mutated[place] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
            case 1:
                del mutated[place : min(place + chance.randrange(1, 9), len(mutated) - 1)]
            case 2:
                mutated[place:place] = chance.randbytes(chance.randrange(1, 9))
            case _:
                mutated[place : place + 4] = chance.choice(EDGES)
    return bytes(mutated)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_mutated_image_is_classified_or_rejected(
    service: Any, cat_files: dict[str, bytes], chelsea: bytes, seed: int
) -> None:
    chance = random.Random(seed)
    files = list(cat_files.values())

    def requests() -> Iterator[ClassifyRequest]:
        for number in range(MUTATIONS):
            image = Image(encoded=mutate(chance.choice(files), chance))
            yield ClassifyRequest(id=str(number), image=image, model=ModelRef(name="mnist-convnet"))

    codes = Counter(reply.error.code for reply in service.vision.ClassifyStream(requests(), timeout=300))

    assert set(codes) == EXPECTED
    assert sum(codes.values()) == MUTATIONS
    assert service.classify(chelsea).classes
    assert service.resident_megabytes < 400
