"""The bound of the response cache in bytes, and which responses go first."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from spyglass_server.engine.response_cache.segmented_lru import SegmentedLru

LIMIT = 64 * 1024
# With its key and its order an entry of 1,000 bytes takes 1,290: 50 of them fit.
VALUE = bytes(1000)


def key(number: int) -> bytes:
    return number.to_bytes(32, "little")


def filled(count: int) -> SegmentedLru:
    cache = SegmentedLru(LIMIT)
    for number in range(count):
        cache.put(key(number), VALUE)
    return cache


def present(cache: SegmentedLru, count: int) -> set[int]:
    """Return which of the first numbers are kept. It reads them, so it must be the last look."""
    return {number for number in range(count) if cache.get(key(number)) is not None}


def test_a_value_is_returned_by_its_key_alone() -> None:
    cache = SegmentedLru(LIMIT)
    cache.put(key(1), b"one")
    cache.put(key(2), b"")

    assert (cache.get(key(1)), cache.get(key(2)), cache.get(key(3))) == (b"one", b"", None)
    assert (cache.get(key(1)), cache.get(key(2))) == (b"one", b"")
    assert len(cache) == 2


def test_the_bytes_never_exceed_the_bound() -> None:
    cache = SegmentedLru(LIMIT)
    for number in range(500):
        cache.put(key(number), bytes(number * 7 % 3000))
        # Some are read again, so both segments are full.
        cache.get(key(number - number % 3))
        assert cache.held_bytes <= LIMIT

    assert cache.evicted == 500 - len(cache) > 0
    assert cache.held_bytes > LIMIT - cache.largest_bytes


@pytest.mark.slow
def test_the_bytes_are_those_that_the_process_takes() -> None:
    tracemalloc.start()
    try:
        gc.collect()
        before = tracemalloc.get_traced_memory()[0]
        cache = SegmentedLru(3 * 1024 * 1024)
        for number in range(8_000):
            cache.put(key(number), bytes(300))
            cache.get(key(number // 2))
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()

    # Python enlarges the table of a dictionary in large steps, so the share of an entry varies.
    assert 0.7 * cache.held_bytes < taken < 1.1 * cache.held_bytes
    assert len(cache) > 4_000


def test_the_least_recently_used_goes_first() -> None:
    cache = filled(50)
    assert cache.evicted == 0

    cache.put(key(50), VALUE)

    assert present(cache, 51) == set(range(1, 51))


def test_what_was_read_again_survives_a_flood_of_what_is_sent_once() -> None:
    cache = filled(50)
    for number in range(10):
        assert cache.get(key(number)) == VALUE

    for number in range(1000, 3000):
        cache.put(key(number), VALUE)

    assert present(cache, 50) == set(range(10))


def test_protected_entries_leave_room_for_new_ones() -> None:
    cache = filled(50)
    for _ in range(3):
        for number in range(50):
            cache.get(key(number))

    cache.put(key(100), VALUE)

    assert cache.get(key(100)) == VALUE
    assert len(cache) == 50


def test_a_protected_entry_that_is_not_read_for_long_can_go() -> None:
    cache = filled(10)
    for number in range(10):
        cache.get(key(number))
    for number in range(1000, 1060):
        cache.put(key(number), VALUE)
        cache.get(key(number))

    for number in range(2000, 2060):
        cache.put(key(number), VALUE)

    assert not present(cache, 10)


@pytest.mark.parametrize("protected", [False, True])
def test_a_second_value_for_a_key_changes_nothing(protected: bool) -> None:
    cache = filled(1)
    if protected:
        cache.get(key(0))
    held = cache.held_bytes

    cache.put(key(0), bytes(5))

    assert (cache.get(key(0)), cache.held_bytes, len(cache)) == (VALUE, held, 1)


def test_a_large_value_is_not_kept_and_pushes_nothing_out() -> None:
    cache = filled(50)
    overhead = cache.held_bytes // 50 - 1000

    cache.put(key(100), bytes(cache.largest_bytes - overhead + 1))
    assert (cache.get(key(100)), cache.evicted) == (None, 0)

    largest = bytes(cache.largest_bytes - overhead)
    cache.put(key(100), largest)
    assert cache.get(key(100)) == largest
