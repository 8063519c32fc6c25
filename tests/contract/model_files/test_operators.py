"""Only operators of ONNX Runtime itself, and functions in the file, may be in a model file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from onnx_graphs import external_tensor, function, node, onnx_package, save_graph
from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.model_file import check_file
from spyglass_contract.model_files.operators import BUILT_IN_DOMAINS


def branch(nodes: list[Any]) -> Any:
    """Return an `If` with these nodes in its branches."""
    graph = onnx_package().helper.make_graph(nodes, "branch", [], [])
    return node("If", then_branch=graph, else_branch=graph)


def refusal(path: Path, **limits: int) -> ModelError:
    with pytest.raises(ModelError) as caught:
        check_file(path, FileLimits(**limits))
    return caught.value


@pytest.mark.parametrize("domain", ["", "ai.onnx", "ai.onnx.ml", "com.microsoft"])
def test_the_domains_of_onnx_runtime_are_allowed(tmp_path: Path, domain: str) -> None:
    check_file(save_graph(tmp_path / "model.onnx", [node("Relu", domain)]))


def test_the_domains_are_those_of_this_onnx_runtime() -> None:
    state = pytest.importorskip("onnxruntime.capi.onnxruntime_pybind11_state")

    assert {schema.domain for schema in state.get_all_operator_schema()} <= BUILT_IN_DOMAINS


@pytest.mark.parametrize("place", ["graph", "branch", "nested branch", "function"])
def test_an_operator_of_a_library_is_refused_by_its_name(tmp_path: Path, place: str) -> None:
    custom = node("Evil", "ai.onnx.contrib")
    nodes = {
        "graph": [custom],
        "branch": [branch([custom])],
        "nested branch": [branch([branch([custom])])],
        "function": [node("Wrapped", "own")],
    }[place]
    functions = [function("Wrapped", [custom])] if place == "function" else []

    error = refusal(save_graph(tmp_path / "model.onnx", nodes, functions=functions))

    assert error.reason == "MODEL_CUSTOM_OPERATOR"
    assert "'ai.onnx.contrib.Evil'" in error.message


@pytest.mark.parametrize("operator", ["EPContext", "Snpe"])
def test_an_operator_that_runs_a_compiled_program_is_refused(tmp_path: Path, operator: str) -> None:
    error = refusal(save_graph(tmp_path / "model.onnx", [node(operator, "com.microsoft")]))

    assert error.reason == "MODEL_CUSTOM_OPERATOR"
    assert operator in error.message


def test_a_function_of_the_file_is_allowed_but_not_its_namesake(tmp_path: Path) -> None:
    functions = [function("Twice", [node("Relu")])]
    check_file(save_graph(tmp_path / "model.onnx", [node("Twice", "own")], functions=functions))

    error = refusal(save_graph(tmp_path / "other.onnx", [node("Twice", "foreign")], functions=functions))

    assert error.reason == "MODEL_CUSTOM_OPERATOR"


@pytest.mark.parametrize("places", [["graph"] * 4, ["branch"] * 2, ["function"] * 4])
def test_nodes_of_all_places_count(tmp_path: Path, places: list[str]) -> None:
    nodes: list[Any] = []
    functions = []
    for place in places:
        if place == "function":
            functions = [function("Two", [node("Relu"), node("Relu")])]
            nodes.append(node("Two", "own"))
        else:
            nodes.append(branch([node("Relu")]) if place == "branch" else node("Relu"))
    path = save_graph(tmp_path / "model.onnx", nodes, functions=functions)

    check_file(path, FileLimits(max_nodes=8))

    assert refusal(path, max_nodes=3).reason == "MODEL_TOO_LARGE"


def test_functions_that_call_each_other_ten_times_count_as_often_as_they_run(tmp_path: Path) -> None:
    # 10 ** 8 nodes of a file with 90.
    functions = [function(f"F{level}", [node(f"F{level + 1}", "own")] * 10) for level in range(1, 8)]
    functions.append(function("F8", [node("Relu")] * 10))

    path = save_graph(tmp_path / "model.onnx", [node("F1", "own")], functions=functions)

    assert refusal(path).reason == "MODEL_TOO_LARGE"


def test_a_function_that_calls_itself_is_refused(tmp_path: Path) -> None:
    functions = [function("A", [node("B", "own")]), function("B", [node("A", "own")])]

    error = refusal(save_graph(tmp_path / "model.onnx", [node("A", "own")], functions=functions))

    assert "calls itself" in error.message


def test_initializers_count(tmp_path: Path) -> None:
    tensor = onnx_package().TensorProto(name="w", data_type=1, dims=[0])

    path = save_graph(tmp_path / "model.onnx", [], initializers=[tensor] * 5)

    check_file(path, FileLimits(max_nodes=5))
    assert refusal(path, max_nodes=4).reason == "MODEL_TOO_LARGE"


def test_external_data_in_a_node_is_found(tmp_path: Path) -> None:
    constant = node("Constant", value=external_tensor("/etc/passwd"))

    error = refusal(save_graph(tmp_path / "model.onnx", [branch([constant])]))

    assert error.reason == "MODEL_EXTERNAL_DATA"
