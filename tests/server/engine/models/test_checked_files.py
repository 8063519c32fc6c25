"""The server opens the bytes that it has checked, and no library of operators."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from onnx_graphs import onnx_package
from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.model_file import ModelFile, check_file
from spyglass_contract.model_files.rules import FileRules
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.models.providers import onnx_sessions
from spyglass_server.engine.models.resources import Resources
from spyglass_server.engine.models.session import Session

MakeModel = Callable[..., Path]
PACKAGES = ("contract", "server", "training", "export", "cli", "clients")


def with_external_data(path: Path) -> Path:
    """Move the tensors of a file into `weights.bin` beside it."""
    onnx = onnx_package()
    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        # Only raw values can be in another file.
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save(
        model,
        str(path),
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    assert (path.parent / "weights.bin").stat().st_size
    return path


@pytest.mark.parametrize("provider", ["cpu", "openvino"])
def test_a_model_with_external_data_in_its_folder_is_served(make_model: MakeModel, provider: str) -> None:
    if provider == "openvino":
        pytest.importorskip("openvino")
    path = make_model()
    pixels = np.random.RandomState(0).randint(0, 256, (1, 8, 8, 3), np.uint8)
    expected = Session(path, provider=provider).run(pixels)

    found = Session(with_external_data(path), provider=provider).run(pixels)

    np.testing.assert_array_equal(found, expected)


def test_external_data_that_changes_while_it_is_loaded_is_refused(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = with_external_data(make_model())
    weights = path.parent / "weights.bin"
    options = onnx_sessions.session_options

    def options_of_an_attacker(threads: int) -> object:
        weights.write_bytes(weights.read_bytes())
        return options(threads)

    monkeypatch.setattr(
        "spyglass_server.engine.models.providers.graph.session_options", options_of_an_attacker
    )

    with pytest.raises(ModelError, match=r"weights\.bin was changed after it was checked"):
        Session(path)


def test_a_file_that_is_replaced_while_it_is_loaded_does_not_reach_the_runtime(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_model()
    sha256 = check_file(path).sha256
    read = ModelFile.content

    def replaced(file: ModelFile) -> bytes:
        path.write_bytes(b"another file")
        return read(file)

    monkeypatch.setattr(ModelFile, "content", replaced)

    model = Model.load(path, Resources())

    assert path.read_bytes() == b"another file"
    assert model.served_by.sha256 == sha256


def test_a_session_does_not_keep_the_bytes_of_the_file(make_model: MakeModel) -> None:
    file = check_file(make_model())

    session = onnx_sessions.open_session(file, onnx_sessions.session_options(1), [onnx_sessions.CPU])

    assert session._model_bytes is None


def test_the_limits_reach_every_file_that_a_model_opens(make_model: MakeModel) -> None:
    resources = Resources(rules=FileRules(FileLimits(max_nodes=3)))

    with pytest.raises(ModelError, match="more than 3 nodes"):
        Model.load(make_model(), resources)


def test_no_code_registers_a_library_of_operators() -> None:
    root = Path(__file__).parents[4]
    names = {
        node.attr
        for package in PACKAGES
        for file in (root / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
    }

    assert "InferenceSession" in names
    assert not {name for name in names if "custom_ops" in name or name.startswith("register_execution")}


def test_a_network_that_is_opened_again_is_the_same_file(make_model: MakeModel) -> None:
    path = make_model()
    model = Model.load(path, Resources())
    assert model.source
    model.source.open_network(2)
    # A valid file, but another one.
    onnx = onnx_package()
    other = onnx.load(str(path))
    other.doc_string = "another"
    onnx.save(other, str(path))

    with pytest.raises(ModelError) as caught:
        model.source.open_network(2)
    assert caught.value.reason == "MODEL_CHANGED"
