"""Profiles for the models of a server: stored ones at once, new ones in the background."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread

from spyglass_contract.errors import ModelError
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.capacity.memory import allocated_bytes, memory_returner, usable_memory
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.engine.models.bundled import is_bundled
from spyglass_server.engine.models.model import Model, Source
from spyglass_server.engine.profiling.machine import processor
from spyglass_server.engine.profiling.measuring import BATCH_SIZES, Bounds, Measuring, Meters
from spyglass_server.engine.profiling.profile import Profile
from spyglass_server.engine.profiling.quiet import Load, Quiet, Stopped
from spyglass_server.engine.profiling.store import Key, ProfileStore

_log = logging.getLogger(__name__)

# A run on a CPU that has begun is finished; the server does not wait longer for it, in seconds.
_STOP_SECONDS = 1.0


@dataclass(frozen=True)
class _Task:
    """One model to profile."""

    model: Model
    source: Source
    key: Key
    store: ProfileStore


class Profiler:
    """Gives models their profiles. It measures one model after the other while the server has no work."""

    def __init__(
        self, models: Iterable[Model], load: Load, seconds: float, meters: Meters | None = None
    ) -> None:
        """Use the stored profiles. `seconds` is the time to measure a model, which must have a source."""
        self._load = load
        self._seconds = seconds
        self._meters = meters or Meters(allocated=allocated_bytes())
        self._return_memory = memory_returner()
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="profiler", daemon=True)
        described = processor()
        self._tasks = [_task(model, model.source, described) for model in models if model.source]
        for task in self._tasks:
            if profile := task.store.find(task.key):
                task.model.use_profile(profile)

    def start(self) -> None:
        """Measure the other models from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End a measurement in progress, without a profile; may be called again, and before `start`."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Return whether the thread ended within `seconds`."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        quiet = Quiet(self._load, self._stopped)
        for task in self._tasks:
            try:
                if not task.model.profile:
                    self._measure(task, quiet)
                self._widen(task, quiet)
            except Stopped:
                return
            # The server serves the model without a profile.
            except Exception:
                _log.exception("%s: the speed could not be measured", task.model.card.name)
            # Of the measurement, or of the load.
            self._return_memory()

    def _measure(self, task: _Task, quiet: Quiet) -> None:
        model, key = task.model, task.key
        bounds = Bounds(
            workers=key.workers,
            threads=key.threads,
            wide_threads=key.wide_threads,
            max_batch=model.resources.max_batch or BATCH_SIZES[-1],
            seconds=self._seconds,
            memory=usable_memory(),
        )
        runs = Measuring(task.source.open_network, bounds, quiet, self._meters).measure()
        profile = Profile(datetime.now(UTC).isoformat(timespec="seconds"), runs)
        model.use_profile(profile)
        if not task.store.keep(key, profile):
            _log.info("profiles are not kept: the folder of models and the cache folder cannot be written")
        _log.info(
            "%s/%d: %.2f ms an image; batches of up to %d; %d threads for a lone request",
            model.card.name,
            model.card.version,
            profile.image_seconds * 1000,
            model.max_batch,
            profile.wide_threads,
        )

    def _widen(self, task: _Task, quiet: Quiet) -> None:
        """Open the network with more threads if the profile says that a lone request should use them."""
        profile = task.model.profile
        if not profile or not profile.wide:
            return
        quiet.wait()
        try:
            task.model.use_wide(task.source.open_network(profile.wide_threads))
        except ModelError as error:
            _log.warning(
                "%s: a lone request uses %d threads: with more, %s",
                task.model.card.name,
                task.key.threads,
                error.message,
            )


def _task(model: Model, source: Source, described: str) -> _Task:
    resources = model.resources
    threads, workers = resources.threads_per_worker, resources.workers
    # More threads than the operator gives to all runs together would be against the settings.
    wide = min(usable_cpus(), threads * workers) if model.network.provider == "CPUExecutionProvider" else 1
    key = Key(
        sha256=model.served_by.sha256,
        processor=described,
        runtime=f"onnxruntime {onnxruntime.__version__}",
        provider=model.network.provider,
        precision=model.served_by.precision,
        workers=workers,
        threads=threads,
        wide_threads=max(threads, wide),
    )
    # The installation is not a place for data.
    return _Task(model, source, key, ProfileStore(None if is_bundled(source.models) else source.models))
