"""The measurement of a network of known speed: its table, its bounds, and its respect for requests."""

from __future__ import annotations

import logging
from collections.abc import Callable
from threading import Event

import numpy as np
import pytest
from numpy.typing import NDArray

from known_speed import Compute, FakeLoad, Machine, NoWaiting, SpeedNetwork
from spyglass.v1.model_pb2 import ModelCard
from spyglass_server.engine.profiling.measuring import Bounds, Measuring
from spyglass_server.engine.profiling.profile import MeasuredWay, Profile, Way
from spyglass_server.engine.profiling.quiet import Quiet, Stopped

Speed = Callable[[int, int], float]


class Bench:
    """Measures networks of one speed, and keeps them."""

    def __init__(self, card: ModelCard, compute: Compute, machine: Machine, load: FakeLoad) -> None:
        self.card = card
        self.compute = compute
        self.machine = machine
        self.load = load
        self.stopped: Event = NoWaiting()
        self.opened: list[SpeedNetwork] = []
        self.before: Callable[[int], object] = lambda size: None

    def measure(self, speed: Speed, **bounds: float) -> Profile:
        return Profile("now", self.measure_runs(speed, **bounds))

    def measure_runs(self, speed: Speed, **bounds: float) -> tuple[MeasuredWay, ...]:
        def open_network(threads: int) -> SpeedNetwork:
            network = SpeedNetwork(self.card, self.compute, self.machine, speed, threads)
            network.before = self.before
            self.opened.append(network)
            return network

        fields = {"workers": 2, "threads": 1, "wide_threads": 1, "max_batch": 32, "memory": 1 << 30}
        values = {name: int(value) for name, value in {**fields, **bounds}.items() if name != "seconds"}
        measuring = Measuring(
            open_network,
            Bounds(seconds=bounds.get("seconds", 3.0), **values),
            Quiet(self.load, self.stopped),
            self.machine.meters,
        )
        return measuring.measure()

    @property
    def batches(self) -> list[int]:
        return [size for network in self.opened for size in network.batches]


@pytest.fixture
def bench(
    make_card: Callable[..., ModelCard], classify_colors: Compute, machine: Machine, load: FakeLoad
) -> Bench:
    return Bench(make_card(), classify_colors, machine, load)


def linear(size: int, threads: int) -> float:
    return 0.002 * size


def test_a_way_has_the_seconds_of_its_run(bench: Bench) -> None:
    runs = bench.measure_runs(linear, max_batch=2)

    assert [(run.way, run.seconds) for run in runs] == [
        (Way(1, 1, 1), pytest.approx(0.002)),
        (Way(1, 1, 2), pytest.approx(0.002)),
        (Way(2, 1, 1), pytest.approx(0.004)),
        (Way(2, 1, 2), pytest.approx(0.004)),
    ]


def test_batches_that_pay_are_found(bench: Bench) -> None:
    assert bench.measure(lambda size, threads: 0.001 + 0.0001 * size).max_batch == 32


def test_batches_that_do_not_pay_are_not_used(bench: Bench) -> None:
    assert bench.measure(linear).max_batch == 1


def test_the_least_time_of_the_rounds_counts(bench: Bench) -> None:
    noise = iter([7, 5, 3, 9, 2] * 10_000)

    def noisy(size: int, threads: int) -> float:
        return 0.03 * size * next(noise)

    profile = bench.measure(noisy, workers=1, seconds=30, max_batch=1)

    assert profile.image_seconds == pytest.approx(0.06)


def test_sizes_after_two_without_a_gain_are_not_measured(bench: Bench) -> None:
    bench.measure(lambda size, threads: 0.0005 * size)

    assert max(bench.batches) == 4


def test_one_size_without_a_gain_does_not_end_the_search(bench: Bench) -> None:
    odd = {1: 0.001, 2: 0.004, 4: 0.002, 8: 0.003, 16: 0.006, 32: 0.012}

    assert bench.measure(lambda size, threads: odd[size]).max_batch == 8


def test_a_clearly_worse_size_takes_little_of_the_time(bench: Bench) -> None:
    bench.measure(lambda size, threads: 0.02 * size**1.5, workers=1, max_batch=2, seconds=30)

    assert bench.batches.count(2) < bench.batches.count(1) / 2


def test_no_batch_runs_longer_than_a_tenth_of_a_second(bench: Bench) -> None:
    bench.measure(lambda size, threads: 0.03 * size)

    assert max(bench.batches) == 2


def test_one_image_is_measured_once_even_if_that_takes_longer_than_the_time(bench: Bench) -> None:
    profile = bench.measure(lambda size, threads: 20.0 / threads, wide_threads=4)

    assert profile.image_seconds == pytest.approx(20.0)
    assert profile.wide_threads == 4
    # The first run of each network warms it up.
    assert bench.batches == [1, 1, 1, 1]


def test_the_end_of_the_server_ends_the_measurement(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.stopped = Event()
    bench.before = lambda size: bench.stopped.set() if size == 2 else None

    with caplog.at_level(logging.INFO), pytest.raises(Stopped):
        bench.measure(linear)

    assert bench.batches.count(2) == 1
    assert not caplog.text


def test_the_time_is_bounded(bench: Bench, machine: Machine) -> None:
    bench.measure(lambda size, threads: 0.02 * size, workers=1, seconds=1.0)

    assert machine.wall < 1.2


def test_enough_rounds_end_the_measurement_of_a_fast_network(bench: Bench, machine: Machine) -> None:
    bench.measure(lambda size, threads: 0.001, workers=1, max_batch=1, seconds=100)

    assert machine.wall < 0.5


def test_sizes_that_would_take_too_much_memory_are_not_measured(bench: Bench, machine: Machine) -> None:
    largest = 0

    def take(size: int) -> None:
        nonlocal largest
        if size > largest:
            machine.allocated += (size - largest) * 1_000_000
            largest = size

    bench.before = take
    bench.measure(lambda size, threads: 0.001, memory=128 * 4_000_000)

    assert max(bench.batches) == 8


def test_the_largest_batch_of_the_network_is_not_exceeded(bench: Bench) -> None:
    bench.measure(lambda size, threads: 0.001, max_batch=3)

    assert max(bench.batches) == 2


def test_a_batch_that_fails_ends_the_search(bench: Bench) -> None:
    def refuse(size: int) -> None:
        if size >= 4:
            raise RuntimeError("out of memory")

    bench.before = refuse
    profile = bench.measure(lambda size, threads: 0.001)

    assert {run.way.batch for run in profile.runs} == {1, 2}
    assert profile.max_batch == 2


def test_a_network_that_fails_alone_has_no_profile(bench: Bench) -> None:
    def fail(size: int) -> None:
        raise RuntimeError("broken")

    bench.before = fail
    with pytest.raises(RuntimeError, match="broken"):
        bench.measure(linear)


def test_a_network_that_mixes_the_images_of_a_batch_gets_no_batches(
    bench: Bench, classify_colors: Compute, caplog: pytest.LogCaptureFixture
) -> None:
    def mix(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        outputs = classify_colors(pixels)
        return outputs.mean(axis=0, keepdims=True).repeat(len(outputs), axis=0).astype(np.float32)

    bench.compute = mix
    with caplog.at_level(logging.WARNING):
        profile = bench.measure(lambda size, threads: 0.001)

    assert profile.max_batch == 1
    assert "an image in a batch of 2 gets another output than alone" in caplog.text


@pytest.mark.parametrize(("speed_up", "wide"), [(2.0, True), (1.2, False)])
def test_all_cores_are_measured_for_one_image(bench: Bench, speed_up: float, wide: bool) -> None:
    profile = bench.measure(
        lambda size, threads: 0.01 * size / (speed_up if threads > 1 else 1), wide_threads=4, max_batch=2
    )

    assert profile.wide == wide
    assert [run.way for run in profile.runs if run.way.threads == 4] == [Way(1, 4, 1)]
    assert {network.threads for network in bench.opened} == {1, 4}


def test_an_interrupted_measurement_is_repeated(bench: Bench, load: FakeLoad) -> None:
    requests = iter(range(1, 6))

    def request(size: int) -> None:
        load.admitted = next(requests, load.admitted)

    bench.before = request
    profile = bench.measure(linear, workers=1, max_batch=1)

    assert load.admitted == 5
    assert profile.image_seconds == pytest.approx(0.002)


def test_a_run_that_a_request_interrupts_is_the_last_one_of_its_measurement(
    bench: Bench, load: FakeLoad
) -> None:
    began: list[int] = []

    def request(size: int) -> None:
        began.append(load.admitted)
        if len(began) == 5:
            load.admitted += 1

    bench.before = request
    bench.measure(lambda size, threads: 0.001, workers=1, max_batch=1, seconds=0.1)

    # One run after the request would be one of the next measurement, in a quiet moment.
    assert began.count(0) == 5


def test_a_server_that_always_has_work_is_never_measured(bench: Bench, load: FakeLoad) -> None:
    class EndsLater(NoWaiting):
        waits = 0

        def wait(self, timeout: float | None = None) -> bool:
            self.waits += 1
            return self.waits > 1000

    load.inside = 1
    bench.stopped = EndsLater()
    with pytest.raises(Stopped):
        bench.measure(linear)

    assert bench.opened == []
    assert bench.batches == []
