"""A lifecycle whose files are texts: `ok` loads, `bad` is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from spyglass.v1.model_pb2 import TASK_CLASSIFY, ModelRef
from spyglass_contract.errors import CertificateError, NotFound
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle
from spyglass_server.engine.models.lifecycle.policy import VersionPolicy
from spyglass_server.engine.models.lifecycle.status import Status
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.models.stores.folder import FolderStore


class Network:
    """A network that needs no file."""

    provider = "CPUExecutionProvider"

    def __init__(self, card: Any, run: Callable[..., Any]) -> None:
        self.card = card
        self.run = run


@dataclass
class Site:
    """A folder of models, and what serves of it."""

    folder: Path
    open_model: Callable[[Path], Model]
    repository: Repository = field(default_factory=Repository)
    reports: list[Status] = field(default_factory=list)
    # Loads wait for it, and say that they have begun.
    gate: Event = field(default_factory=Event)
    begun: Event = field(default_factory=Event)
    lifecycle: Any = None

    def begin(self, *policy: str) -> Lifecycle:
        """Make the lifecycle."""
        self.gate.set()
        self.lifecycle = Lifecycle(
            [FolderStore(self.folder)],
            self.repository,
            VersionPolicy.parse(policy),
            self._open,
            changed=self.reports.append,
        )
        return self.lifecycle

    def start(self, *policy: str, strict: bool = True) -> Lifecycle:
        """Make the lifecycle, and load what should serve."""
        self.begin(*policy).start(2, strict=strict)
        return self.lifecycle

    def write(self, version: int, content: str = "ok", name: str = "colors") -> None:
        """Write the file of a version."""
        path = self.folder / name / str(version) / "model.onnx"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def refresh(self) -> None:
        """Look at the folder, and wait until nothing loads."""
        self.lifecycle.refresh()
        assert self.lifecycle.settled(10)

    def hold_loads(self) -> None:
        """Let further loads wait for `gate`."""
        self.begun.clear()
        self.gate.clear()

    def served(self, selector: str = "", name: str = "colors") -> int:
        """Return the version that answers a request; 0: none."""
        ref = ModelRef(name=name)
        if selector.isdecimal():
            ref.version = int(selector)
        elif selector:
            ref.label = selector
        try:
            return self.repository.resolve(ref, TASK_CLASSIFY).card.version
        except NotFound:
            return 0

    def states(self) -> dict[int, str]:
        """Return the state of each version."""
        return {status.version: status.state.name for status in self.lifecycle.statuses()}

    def _open(self, path: Path) -> Model:
        self.begun.set()
        assert self.gate.wait(10)
        if (content := path.read_text()) != "ok":
            raise CertificateError(f"{path}: the outputs differ: {content}")
        return self.open_model(path)
