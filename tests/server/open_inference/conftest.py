"""The Open Inference Protocol over an engine with tiny models, without a transport."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from spyglass_contract.errors import SpyglassError
from spyglass_contract.images.header import Limits
from spyglass_server.engine.call import Call
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.scheduling.admission import Bounds
from spyglass_server.engine.scheduling.workers import Workers
from spyglass_server.open_inference.inference import OpenInference
from spyglass_server.open_inference.tensors import InferRequest, InferResult

Infer = Callable[..., InferResult]


@pytest.fixture(scope="session")
def tensor_models(
    tmp_path_factory: pytest.TempPathFactory, explaining_models: Path, segmenting_models: Path
) -> Path:
    """A folder of models: `colors` with heatmaps, `plain` without; `pad` and `stretch` segment."""
    root = tmp_path_factory.mktemp("tensor-models")
    for folder, names in ((explaining_models, ("colors", "plain")), (segmenting_models, ("pad", "stretch"))):
        for name in names:
            shutil.copytree(folder / name, root / name)
    return root


@pytest.fixture(scope="session")
def repository(tensor_models: Path) -> Repository:
    pytest.importorskip("onnxruntime")
    repository = Repository()
    for path in sorted(tensor_models.glob("*/*/model.onnx")):
        repository.add(Model.load(path, Resources()))
    return repository


@pytest.fixture(scope="session")
def engine(repository: Repository) -> Iterator[Engine]:
    made = Engine(repository, Workers(2, Bounds(8)), Limits())
    yield made
    made.close()


@pytest.fixture
def find(engine: Engine) -> Callable[[str], Model]:
    """Return a model by its name."""
    return lambda name: OpenInference(engine).find(name, "", Call())


@pytest.fixture
def infer(engine: Engine) -> Infer:
    """Run a request: `infer(inputs, outputs=(), model="colors", version="", call=None, **parameters)`."""
    return _infer(engine)


@pytest.fixture
def make_infer() -> Callable[[Engine], Infer]:
    """Return what `infer` is, for an engine."""
    return _infer


def _infer(engine: Engine) -> Infer:
    inference = OpenInference(engine)

    def run(
        *inputs: object,
        outputs: object = (),
        model: str = "colors",
        version: str = "",
        call: Call | None = None,
        **parameters: object,
    ) -> InferResult:
        request = InferRequest(model, version, "an id", inputs, outputs, parameters)  # type: ignore[arg-type]
        return inference.infer(request, call or Call())

    return run


@pytest.fixture
def refuses(infer: Infer) -> Callable[..., tuple[str, str, str]]:
    """Return the class, the reason and the field of the error of a request."""
    return partial(_refused, infer)


def _refused(infer: Infer, *inputs: object, **arguments: object) -> tuple[str, str, str]:
    with pytest.raises(SpyglassError) as raised:
        infer(*inputs, **arguments)
    return type(raised.value).__name__, raised.value.reason, raised.value.field
