"""Profiles for the models of a server: stored ones at once, new ones in the background."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Lock, Thread

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
from spyglass_server.engine.profiling.turn import turn

_log = logging.getLogger(__name__)

# A run on a CPU that has begun is finished; the server does not wait longer for it, in seconds.
_STOP_SECONDS = 1.0
# How often the next measurement in the background looks whether its model was replaced, in seconds.
_LOOK_SECONDS = 1.0
# A model that is to replace another one waits for its measurement this many times the seconds that it takes.
_PATIENCE = 3
# So long it waits in the background for the measurements of other processes.
_OTHERS_SECONDS = 60.0


@dataclass(frozen=True)
class _Task:
    """One model to profile. It does not keep the model in memory."""

    model: weakref.ref[Model]
    name: str
    version: int
    max_batch: int
    source: Source
    key: Key
    store: ProfileStore

    @property
    def is_needed(self) -> bool:
        """Whether the model still serves, or is to serve."""
        return self.model() is not None

    def use_stored(self) -> bool:
        """Give the model its stored profile; return whether it then has one."""
        model, profile = self.model(), self.store.find(self.key)
        if model and profile:
            model.use_profile(profile)
        return profile is not None


class Profiler:
    """Gives models their profiles. It measures one model after the other while the server has no work."""

    def __init__(
        self,
        models: Iterable[Model],
        load: Load,
        seconds: float,
        meters: Meters | None = None,
        lock: Path | None = None,
    ) -> None:
        """Use the stored profiles. `seconds` is the time to measure a model, which must have a source.

        `lock` is a file: of the processes that use it, one measures at a time, and the others then find what
        it has stored.
        """
        self._lock = lock
        self._load = load
        self._seconds = seconds
        self._meters = meters or Meters(allocated=allocated_bytes())
        self._return_memory = memory_returner()
        self._stopped = Event()
        # Measurements in the background take place one after the other.
        self._measuring = Lock()
        self._processor = processor()
        tasks = [_task(model, model.source, self._processor) for model in models if model.source]
        for task in tasks:
            task.use_stored()
        self._thread = Thread(target=self._run, args=(tasks,), name="profiler", daemon=True)

    def start(self) -> None:
        """Measure the other models from now on."""
        self._thread.start()

    def prepare(self, model: Model) -> None:
        """Give a model its profile before it serves: the stored one, or one that is measured now.

        On a busy server the measurement ends after a few times its seconds, and goes on in the background.
        """
        if not model.source:
            return
        task = _task(model, model.source, self._processor)
        if not task.use_stored():
            ends = time.monotonic() + _PATIENCE * self._seconds
            with suppress(Stopped), turn(self._lock, self._stopped, ends):
                if not task.use_stored():
                    self._measure(task, Quiet(self._load, self._stopped, ends))
            self._return_memory()
        Thread(target=self._run, args=([task],), name="profiler", daemon=True).start()

    def stop(self) -> None:
        """End a measurement in progress, without a profile; may be called again, and before `start`."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def wait(self, seconds: float) -> bool:
        """Return whether the thread ended within `seconds`."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self, tasks: list[_Task]) -> None:
        for task in tasks:
            while not self._measuring.acquire(timeout=_LOOK_SECONDS):
                if self._stopped.is_set() or not task.is_needed:
                    break
            else:
                self._finish(task)
                self._measuring.release()

    def _finish(self, task: _Task) -> None:
        """Measure a model if it has no profile, and open its network for lone requests."""
        quiet = Quiet(self._load, self._stopped, is_needed=lambda: task.is_needed)
        try:
            if _lacks_profile(task):
                with turn(self._lock, self._stopped, time.monotonic() + _OTHERS_SECONDS):
                    if not task.use_stored():
                        self._measure(task, quiet)
            self._widen(task, quiet)
        except Stopped:
            pass
        # The server serves the model without a profile.
        except Exception:
            _log.exception("%s: the speed could not be measured", task.name)
        # Of the measurement, or of the load.
        self._return_memory()

    def _measure(self, task: _Task, quiet: Quiet) -> None:
        key = task.key
        bounds = Bounds(
            workers=key.workers,
            threads=key.threads,
            wide_threads=key.wide_threads,
            max_batch=task.max_batch or BATCH_SIZES[-1],
            seconds=self._seconds,
            memory=usable_memory(),
        )
        runs = Measuring(task.source.open_network, bounds, quiet, self._meters).measure()
        profile = Profile(datetime.now(UTC).isoformat(timespec="seconds"), runs)
        if model := task.model():
            model.use_profile(profile)
        if not task.store.keep(key, profile):
            _log.info("profiles are not kept: the folder of models and the cache folder cannot be written")
        _log.info(
            "%s/%d: %.2f ms an image; batches of up to %d; %d threads for a lone request",
            task.name,
            task.version,
            profile.image_seconds * 1000,
            task.max_batch or profile.max_batch,
            profile.wide_threads,
        )

    def _widen(self, task: _Task, quiet: Quiet) -> None:
        """Open the network with more threads if the profile says that a lone request should use them."""
        profile = _profile(task)
        if not profile or not profile.wide:
            return
        quiet.wait()
        model = task.model()
        if not model:
            return
        try:
            model.use_wide(task.source.open_network(profile.wide_threads))
        except ModelError as error:
            _log.warning(
                "%s: a lone request uses %d threads: with more, %s",
                task.name,
                task.key.threads,
                error.message,
            )


def _profile(task: _Task) -> Profile | None:
    model = task.model()
    return model.profile if model else None


def _lacks_profile(task: _Task) -> bool:
    model = task.model()
    return model is not None and model.profile is None


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
    store = ProfileStore(None if is_bundled(source.models) else source.models)
    card = model.card
    return _Task(weakref.ref(model), card.name, card.version, resources.max_batch, source, key, store)
