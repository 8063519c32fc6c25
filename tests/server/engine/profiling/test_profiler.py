"""The profiler of a server: stored profiles at once, new ones in the background, none that disturbs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from threading import Event

import pytest

from known_speed import Compute, FakeLoad, Machine, SpeedNetwork
from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.model import Model, Network, Resources, Source
from spyglass_server.engine.profiling.profiler import Profiler
from spyglass_server.engine.profiling.store import FILE, FOLDER
from spyglass_server.engine.profiling.turn import turn

PATIENCE = 30
RESOURCES = Resources(workers=2)


def batches_pay(size: int, threads: int) -> float:
    return 0.001 + 0.0001 * size


@dataclass
class Site:
    """A folder of models with one model, which opens networks of known speed."""

    folder: Path
    card: ModelCard
    compute: Compute
    machine: Machine
    load: FakeLoad
    speed: Callable[[int, int], float] = batches_pay
    opened: list[SpeedNetwork] = field(default_factory=list)

    def model(self, resources: Resources = RESOURCES, sha256: str = "ab" * 32) -> Model:
        return Model(self._network(1), sha256, resources, source=Source(self.folder, self._open))

    @contextmanager
    def profiler(self, *models: Model, lock: Path | None = None) -> Iterator[Profiler]:
        profiler = Profiler(models, self.load, 1.0, self.machine.meters, lock)
        yield profiler
        profiler.stop()

    def measure(self, *models: Model) -> None:
        with self.profiler(*models) as profiler:
            profiler.start()
            assert profiler.wait(PATIENCE)

    def _open(self, threads: int) -> Network:
        self.opened.append(self._network(threads))
        return self.opened[-1]

    def _network(self, threads: int) -> SpeedNetwork:
        return SpeedNetwork(self.card, self.compute, self.machine, self.speed, threads)


@pytest.fixture
def site(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make_card: Callable[..., ModelCard],
    classify_colors: Compute,
    machine: Machine,
    load: FakeLoad,
) -> Site:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("spyglass_server.engine.profiling.quiet._QUIET_SECONDS", 0.0)
    # However many processors this machine has.
    monkeypatch.setattr("spyglass_server.engine.profiling.profiler.usable_cpus", lambda: 2)
    return Site(tmp_path / "models", make_card(), classify_colors, machine, load)


def test_a_measured_model_gets_its_profile_and_its_batches(site: Site) -> None:
    model = site.model()
    assert (model.profile, model.max_batch) == (None, 1)

    site.measure(model)

    assert model.profile
    assert model.profile.image_seconds == pytest.approx(0.0011)
    assert model.max_batch == model.profile.max_batch == 32


def test_a_stored_profile_is_used_without_a_measurement(site: Site) -> None:
    site.measure(site.model())
    assert (site.folder / FOLDER / FILE).is_file()
    site.opened.clear()

    again = site.model()
    with site.profiler(again):
        # It has not even started.
        assert again.max_batch == 32
    site.measure(again)

    assert site.opened == []


def test_a_process_waits_for_the_measurement_of_another_one_and_uses_it(site: Site, tmp_path: Path) -> None:
    model, lock = site.model(), tmp_path / "lock"
    with site.profiler(model, lock=lock) as profiler:
        with turn(lock, Event(), time.monotonic() + PATIENCE):
            profiler.start()
            # What the other one does meanwhile.
            site.measure(site.model())
            assert not profiler.wait(0.2)
            assert model.profile is None
            site.opened.clear()
        assert profiler.wait(PATIENCE)

    assert model.max_batch == 32
    assert site.opened == []


@pytest.mark.parametrize(("resources", "sha256"), [(Resources(workers=3), "ab" * 32), (RESOURCES, "cd" * 32)])
def test_a_profile_of_other_circumstances_is_not_used(site: Site, resources: Resources, sha256: str) -> None:
    site.measure(site.model())
    site.opened.clear()

    other = site.model(resources, sha256)
    with site.profiler(other):
        assert other.profile is None
    site.measure(other)

    assert site.opened
    assert other.profile


def test_the_setting_of_the_largest_batch_overrides_the_profile(site: Site) -> None:
    model = site.model(Resources(workers=2, max_batch=4))

    site.measure(model)

    assert model.max_batch == 4
    assert model.profile
    assert {run.way.batch for run in model.profile.runs} == {1, 2, 4}


def test_a_lone_request_runs_on_all_cores_if_the_profile_says_so(site: Site) -> None:
    def fast_on_two(size: int, threads: int) -> float:
        return 0.02 * size / threads

    site.speed = fast_on_two
    model = site.model()

    site.measure(model)

    assert model.profile
    assert model.profile.wide_threads == 2
    assert model.widest(model.network.run) == site.opened[-1].run
    assert site.opened[-1].threads == 2


def test_a_profile_of_a_fast_network_opens_no_second_one(site: Site) -> None:
    model = site.model()

    site.measure(model)

    assert model.widest(model.network.run) == model.network.run


def test_a_folder_that_cannot_be_written_is_no_fault(site: Site, tmp_path: Path) -> None:
    site.folder.mkdir()
    (site.folder / FOLDER).write_text("")
    (tmp_path / "cache").write_text("")
    model = site.model()

    site.measure(model)

    assert model.max_batch == 32


def test_a_network_that_cannot_be_opened_again_leaves_the_model_as_it_is(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(threads: int) -> Network:
        raise ModelError("the file is gone")

    broken, sound = site.model(), site.model(sha256="cd" * 32)
    broken.source = Source(site.folder, fail)
    with caplog.at_level(logging.ERROR):
        site.measure(broken, sound)

    assert (broken.profile, broken.max_batch) == (None, 1)
    assert sound.profile
    assert "colors: the speed could not be measured" in caplog.text


def test_a_network_without_a_source_is_not_measured(
    site: Site, make_card: Callable[..., ModelCard], classify_colors: Compute
) -> None:
    network = SpeedNetwork(make_card(), classify_colors, site.machine, batches_pay)
    model = Model(network, "ab" * 32, RESOURCES)
    runs = len(network.batches)

    site.measure(model)

    assert model.profile is None
    assert len(network.batches) == runs


def test_a_server_that_always_has_work_is_never_disturbed(site: Site, load: FakeLoad) -> None:
    load.inside = 1
    model = site.model()

    with site.profiler(model) as profiler:
        profiler.start()
        assert not profiler.wait(0.1)
        profiler.stop()
        assert profiler.wait(PATIENCE)

    assert site.opened == []
    assert model.profile is None


def test_a_profiler_that_did_not_start_can_be_stopped(site: Site) -> None:
    with site.profiler(site.model()) as profiler:
        profiler.stop()


def test_the_measurement_of_a_model_that_was_replaced_is_given_up(site: Site, load: FakeLoad) -> None:
    load.inside = 1
    model = site.model()
    profiler = Profiler([model], load, 1.0, site.machine.meters)
    profiler.start()
    assert not profiler.wait(0.1)

    del model

    assert profiler.wait(PATIENCE)
    assert site.opened == []


def test_models_that_come_later_are_measured_one_after_the_other(
    site: Site,
    load: FakeLoad,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    monkeypatch.setattr("spyglass_server.engine.profiling.profiler._PATIENCE", 0)
    load.inside = 1
    opened: list[str] = []

    def opening(name: str) -> Callable[[int], Network]:
        def open_network(threads: int) -> Network:
            opened.append(name)
            return site._open(threads)

        return open_network

    models = [
        Model(site._network(1), name * 64, RESOURCES, source=Source(site.folder, opening(name)))
        for name in "abc"
    ]
    with site.profiler() as profiler:
        for model in models:
            profiler.prepare(model)
        assert [model.profile for model in models] == [None] * 3
        load.inside = 0
        eventually(lambda: all(model.profile for model in models))
    assert len([name for name, _ in groupby(opened)]) == 3
