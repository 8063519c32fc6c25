"""Loads, swaps and ends the versions of models, as the stores, the policy and the operator require."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from threading import Lock, RLock

from spyglass_contract.errors import FailedPrecondition, ModelError, NotFound
from spyglass_server.engine.capacity.priority import give_way
from spyglass_server.engine.models.lifecycle.catalog import Catalog, Found, RoutingFile
from spyglass_server.engine.models.lifecycle.draining import Draining
from spyglass_server.engine.models.lifecycle.family import Entry, Family
from spyglass_server.engine.models.lifecycle.loading import Loader, OpenModel, load_error
from spyglass_server.engine.models.lifecycle.policy import VersionPolicy
from spyglass_server.engine.models.lifecycle.status import State, Status, now
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.repository import Repository, listed_names
from spyglass_server.engine.models.routing import Routing
from spyglass_server.engine.models.stores.store import Store
from spyglass_server.engine.text import quoted

_log = logging.getLogger(__name__)


class Lifecycle:
    """Keeps a repository as it should be. Safe to use from any thread; requests never wait for it.

    A version is loaded beside those that serve. When it is ready, one step publishes it, and takes away what
    it replaces. A file that cannot be loaded changes nothing but its own status.
    """

    def __init__(
        self,
        stores: Sequence[Store],
        repository: Repository,
        policy: VersionPolicy,
        open_model: OpenModel,
        *,
        prepare: Callable[[Model], object] = lambda model: None,
        changed: Callable[[Status], object] = lambda status: None,
        published: Callable[[str, bool], object] = lambda name, serves: None,
        ended: Callable[[int], object] = lambda identity: None,
    ) -> None:
        """`prepare` gets each model before it serves, from the second round of loads on.

        `changed` gets each new state of a version, `published` each model of which other versions serve than
        before, and whether any does, and `ended` the `id` of each model whose last request has ended. They
        must not block.
        """
        self._catalog = Catalog(stores)
        self._repository = repository
        self._policy = policy
        self._loader = Loader(open_model, prepare)
        self._changed = changed
        self._published = published
        self._ended_loads: Counter[tuple[str, str]] = Counter()
        self._families: dict[str, Family] = {}
        self._draining = Draining(ended)
        self._lock = RLock()
        # One look at the stores, and one change of a routing at a time.
        self._looking, self._routing_changes = Lock(), Lock()
        # One load at a time, so that it takes little from the requests.
        self._loads = ThreadPoolExecutor(1, "load", give_way)
        self._started = False

    def start(self, at_once: int, *, strict: bool = True) -> None:
        """Load what should serve, several models at a time, and return when all are loaded.

        Raises ModelError if a store or a routing cannot be read, or if a model cannot be loaded. Not strict:
        only if a model then has no version that serves.
        """
        background = self._loads
        with ThreadPoolExecutor(at_once, "load") as self._loads:
            self._look()
            if problems := self._catalog.problems:
                raise ModelError(problems[0], reason="STORE_UNREADABLE")
            while loads := self._loading():
                wait(loads)
        self._loads = background
        for _, family in sorted(self._families.items()):
            family.check_started(strict=strict)
        self._started = True

    def refresh(self) -> None:
        """Look for new, changed and deleted versions, and begin what follows; see `settled`.

        Raises ModelError if a store cannot be read; the models of the others are looked at all the same.
        """
        self._look()
        if problems := self._catalog.public_problems:
            raise ModelError("; ".join(problems), reason="STORE_UNREADABLE")

    def settled(self, seconds: float | None = None) -> bool:
        """Wait until no version loads; return False if that takes longer than `seconds`."""
        while loads := self._loading():
            if wait(loads, seconds).not_done:
                return False
        return True

    def load(self, name: str, version: int = 0) -> Future[Model]:
        """Load a version, 0: the highest one, whatever the policy says; return what ends when it serves.

        Raises NotFound. The future has the ModelError of a file that is refused.
        """
        self._look()
        with self._lock:
            family = self._family(name)
            version = version or max(family.found, default=0)
            family.allow(version)
            if version not in self._policy.choose(name, family.found.keys() - family.ended):
                family.pinned.add(version)
            return self._begun(family, version)

    @contextmanager
    def holding(self, name: str, version: int) -> Iterator[Future[Model]]:
        """Load a version as `load` does, and keep it during a block only, unless something else keeps it."""
        self._look()
        with self._lock:
            family = self._family(name)
            family.allow(version)
            family.held.append(version)
            loading = self._begun(family, version)
        try:
            yield loading
        finally:
            with self._lock:
                family.held.remove(version)
                self._settle(family)

    def unload(self, name: str, version: int = 0) -> list[Status]:
        """End a version, 0: all versions of a model, once what replaces it serves; see `settled`.

        Raises NotFound, and FailedPrecondition for one version that has a label.
        """
        with self._lock:
            family = self._family(name)
            ends = family.end(version)
            self._settle(family)
            return [status for status in self.statuses() if status.name == name and status.version in ends]

    def route(self, name: str, change: Callable[[Routing], Routing]) -> Routing:
        """Change the labels and shares of a model, in its file and for requests from now on; return them.

        Every version with a label, and every target of a share, must serve: raises FailedPrecondition.
        Raises NotFound, the errors of `change`, and FailedPrecondition if the file cannot be read or written.
        """
        with self._routing_changes:
            with self._lock:
                family = self._family(name)
                file = self._routing_file(family)
            try:
                with file.changing():
                    before = file.read()
                    routing = change(before)
                    with self._lock:
                        family.check_routable(before, routing)
                    file.write(routing)
            except ModelError as error:
                raise FailedPrecondition(error.message, reason=error.reason) from error
            with self._lock:
                family.routing, family.routing_error = routing, None
                family.changes += 1
                self._settle(family)
                return routing

    def statuses(self) -> list[Status]:
        """Return the state of every version that serves, loads, has failed or drains, by name and version."""
        with self._lock:
            found = [
                entry.status(family.name, version)
                for family in self._families.values()
                for version, entry in family.entries.items()
            ]
            found += self._draining.statuses()
        return sorted(found, key=lambda status: (status.name, status.version, status.state.value))

    def routings(self) -> dict[str, tuple[Routing, str]]:
        """Return the routing of each model, and why its file could not be read, by name.

        Models that have neither are left out. The text is empty if the file could be read.
        """
        with self._lock:
            return {
                name: (family.routing, family.routing_error.message if family.routing_error else "")
                for name, family in sorted(self._families.items())
                if family.routing or family.routing_error
            }

    def loads(self) -> dict[tuple[str, str], int]:
        """Return how many loads have ended, by the name of the model, and `served` or `failed`."""
        with self._lock:
            return dict(self._ended_loads)

    def tick(self) -> int:
        """Forget the models whose last request has ended, and return their number."""
        with self._lock:
            return self._draining.sweep()

    def close(self) -> None:
        """Begin no further load, and give up downloads; may be called again."""
        self._loader.close()
        self._catalog.close()
        self._loads.shutdown(wait=False)

    def _look(self) -> None:
        with self._looking:
            found = self._catalog.look()
            with self._lock:
                families = [
                    self._families.setdefault(name, Family(name))
                    for name in sorted({*found, *self._families})
                ]
                changes = {family.name: family.changes for family in families}
                for family in families:
                    family.found = found.get(family.name, {})
                    family.ended &= family.found.keys() | family.entries.keys()
            # Files are read without the lock: they may be far away.
            routings = {family.name: self._read_routing(family) for family in families if family.found}
            with self._lock:
                for family in families:
                    family.try_again()
                    if family.name in routings and family.changes == changes[family.name]:
                        self._take_routing(family, routings[family.name])
                    self._settle(family)
                    if family.is_empty:
                        del self._families[family.name]

    def _read_routing(self, family: Family) -> Routing | ModelError:
        try:
            return self._routing_file(family).read()
        except ModelError as error:
            return error

    def _take_routing(self, family: Family, routing: Routing | ModelError) -> None:
        if isinstance(routing, Routing):
            family.routing, family.routing_error = routing, None
            return
        if family.routing_error is None or family.routing_error.message != routing.message:
            _log.error("the labels of %s stay as they are: %s", family.name, routing.message)
        family.routing_error = routing

    def _settle(self, family: Family) -> None:
        """Begin the loads that are missing, and publish what serves. The caller holds the lock."""
        desired = family.desired(self._policy)
        for version in family.to_load(desired):
            self._begin(family, version)
        if not family.is_loading(desired):
            for version, entry in family.entries.items():
                if entry.model and version not in desired:
                    self._end(family, version, entry)
        family.entries = {
            version: entry
            for version, entry in family.entries.items()
            if entry.model or entry.loading or entry.error
        }
        family.forget_absent(desired)
        before = self._repository.versions(family.name)
        after = family.published(before)
        if (after.models, after.routing) != (before.models, before.routing):
            self._repository.publish(family.name, after)
            self._published(family.name, bool(after.models))

    def _begin(self, family: Family, version: int) -> None:
        entry = family.entries.setdefault(version, Entry())
        loading: Future[Model] = Future()
        entry.loading = loading
        if not entry.model:
            self._report(family, version, entry)
        found = family.found[version]
        self._loads.submit(self._load, family, version, found, loading)

    def _load(self, family: Family, version: int, found: Found, loading: Future[Model]) -> None:
        try:
            outcome: Model | ModelError = self._loader.load(found, beside_others=self._started)
        except Exception as error:
            outcome = load_error(error, found)
        with self._lock:
            entry = family.entries[version]
            entry.loading = None
            if isinstance(outcome, ModelError):
                self._fail(family, version, entry, outcome, found)
            elif version in family.ended or found.stamp != _stamp(family.found.get(version)):
                # The next step loads what is there now, or forgets the version.
                outcome = ModelError(
                    f"{family.name}/{version}: the files changed or went while they were loaded",
                    reason="FILE_CHANGED",
                )
            else:
                self._serve(family, version, entry, outcome, found)
            self._settle(family)
        # Outside of the lock: those who wait may want it.
        if isinstance(outcome, ModelError):
            loading.set_exception(outcome)
        else:
            loading.set_result(outcome)

    def _serve(self, family: Family, version: int, entry: Entry, model: Model, found: Found) -> None:
        if entry.model:
            self._draining.add(entry.model)
        entry.model, entry.stamp = model, found.stamp
        entry.error, entry.refused = None, ""
        self._ended_loads[family.name, "served"] += 1
        self._report(family, version, entry)

    def _fail(self, family: Family, version: int, entry: Entry, error: ModelError, found: Found) -> None:
        entry.error, entry.refused = error, found.stamp
        self._ended_loads[family.name, "failed"] += 1
        if self._started and not self._loader.is_closed:
            _log.error("%s; %s", error.message, _kept(family.serving()))
        self._report(family, version, entry)

    def _end(self, family: Family, version: int, entry: Entry) -> None:
        assert entry.model is not None
        self._draining.add(entry.model)
        entry.model, entry.error = None, None
        _log.info("%s/%d finishes its requests and ends", family.name, version)
        self._changed(Status(family.name, version, State.DRAINING, now()))

    def _report(self, family: Family, version: int, entry: Entry) -> None:
        entry.changed = now()
        self._changed(entry.status(family.name, version))

    def _loading(self) -> list[Future[Model]]:
        with self._lock:
            return [
                entry.loading
                for family in self._families.values()
                for entry in family.entries.values()
                if entry.loading
            ]

    def _begun(self, family: Family, version: int) -> Future[Model]:
        self._settle(family)
        entry = family.entries[version]
        return entry.loading or _done(entry.model)

    def _family(self, name: str) -> Family:
        if name not in self._families:
            raise NotFound(
                f"the repository has no model {quoted(name)}; it has {listed_names(sorted(self._families))}",
                field="name",
            )
        return self._families[name]

    def _routing_file(self, family: Family) -> RoutingFile:
        if not family.found:
            raise NotFound(
                f"the repository has no file of {family.name} any more",
                reason="MODEL_NOT_FOUND",
                field="name",
            )
        return RoutingFile(family.name, family.found[max(family.found)].store)


def _done(model: Model | None) -> Future[Model]:
    future: Future[Model] = Future()
    if model:
        future.set_result(model)
    else:
        future.set_exception(ModelError("the version does not serve", reason="VERSION_NOT_SERVING"))
    return future


def _stamp(found: Found | None) -> str | None:
    return found.stamp if found else None


def _kept(models: Iterable[int]) -> str:
    kept = ", ".join(map(str, sorted(models)))
    return f"version {kept} goes on serving" if kept else "no version serves"
