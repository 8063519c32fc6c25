"""Valid bytes with faults in them."""

from __future__ import annotations

import random

_EDGES = (
    *(b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\xff\xff"),
    b"\x80" * 10,
)


def mutate(data: bytes, chance: random.Random, other: bytes = b"") -> bytes:
    """Return `data` with up to 16 bytes changed, removed, repeated, or taken from `other`."""
    mutated = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not mutated:
            break
        # Bytes in headers have the most effect.
        place = chance.randrange(min(len(mutated), chance.choice((40, 200, 1000, len(mutated)))))
        length = chance.randrange(1, 9)
        match chance.randrange(6):
            case 0:
                mutated[place] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
            case 1:
                del mutated[place : place + length]
            case 2:
                mutated[place:place] = chance.randbytes(length)
            case 3:
                mutated[place:place] = mutated[place : place + 64] * chance.choice((1, 8, 64))
            case 4:
                start = chance.randrange(len(other) + 1)
                mutated[place : place + length] = other[start : start + 4 * length]
            case _:
                mutated[place : place + 4] = chance.choice(_EDGES)
    return bytes(mutated)
