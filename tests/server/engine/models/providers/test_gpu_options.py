"""The options of sessions on GPUs, and the folder of TensorRT's engines."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest

from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.model_file import check_file
from spyglass_server.engine.models.providers.cuda import cuda_entries, open_classes
from spyglass_server.engine.models.providers.graph import read_graph
from spyglass_server.engine.models.providers.onnx_sessions import CPU, CUDA, TENSORRT
from spyglass_server.engine.models.providers.placement import DeviceError, Placement
from spyglass_server.engine.models.providers.tensorrt import engine_folder, tensorrt_entries

MakeModel = Callable[..., Path]


def _options(entry: object) -> dict[str, str]:
    assert isinstance(entry, tuple)
    return dict(entry[1])


def test_cuda_searches_by_heuristic_and_computes_in_float32() -> None:
    first, last = cuda_entries(0, 2)

    assert (first[0], last) == (CUDA, CPU)
    assert _options(first) == {"device_id": "2", "use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def test_a_limit_of_memory_reaches_cuda_and_tensorrt(make_model: MakeModel, tmp_path: Path) -> None:
    graph = read_graph(check_file(make_model()))
    placement = Placement("cuda", gpu_memory_limit=1 << 30)

    tensorrt, cuda, _ = tensorrt_entries(graph, placement, tmp_path, 0)

    assert _options(cuda)["gpu_mem_limit"] == str(1 << 30)
    assert _options(cuda)["arena_extend_strategy"] == "kSameAsRequested"
    assert _options(tensorrt)["trt_max_workspace_size"] == str(1 << 30)


@pytest.mark.parametrize(("max_batch", "largest"), [(0, 16), (1, 1), (5, 8), (64, 64)])
def test_an_engine_of_tensorrt_takes_one_to_the_largest_padded_batch(
    make_model: MakeModel, tmp_path: Path, max_batch: int, largest: int
) -> None:
    graph = read_graph(check_file(make_model()))

    entries = tensorrt_entries(graph, Placement("cuda:1", max_batch=max_batch), tmp_path, 1)

    assert [entry if isinstance(entry, str) else entry[0] for entry in entries] == [TENSORRT, CUDA, CPU]
    options = _options(entries[0])
    assert options["trt_profile_min_shapes"] == "image:1x8x8x3"
    assert options["trt_profile_max_shapes"] == f"image:{largest}x8x8x3"
    assert (options["device_id"], options["trt_fp16_enable"]) == ("1", "0")
    assert options["trt_engine_cache_path"] == str(tmp_path)


def test_files_with_other_weights_have_folders_of_their_own(tmp_path: Path) -> None:
    placement = Placement(engine_cache=tmp_path / "engines")
    first = engine_folder("a" * 64, placement)

    second = engine_folder("b" * 64, placement)

    assert first != second
    assert first.parent == second.parent == tmp_path / "engines"
    assert first.is_dir() and second.is_dir()


def test_engines_are_below_the_cache_folder_of_the_user_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    assert engine_folder("a" * 64, Placement()).parent == tmp_path / "spyglass/tensorrt"


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    folder = engine_folder("a" * 64, Placement(engine_cache=Path("~/engines")))

    assert folder.parent == tmp_path / "engines"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")

    with pytest.raises(ModelError, match=r"the folder .*file cannot be used .* set --engine-cache"):
        engine_folder("a" * 64, Placement(engine_cache=file))


@pytest.mark.skipif("CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="has CUDA")
def test_a_gpu_that_onnx_runtime_cannot_use_is_refused(make_model: MakeModel) -> None:
    file = check_file(make_model())
    with warnings.catch_warnings():
        # ONNX Runtime warns that it does not know the provider, and takes the next one.
        warnings.simplefilter("ignore")
        with pytest.raises(DeviceError, match=f"{CUDA} was requested, but .* on {CPU}"):
            open_classes(file, read_graph(file), Placement("cuda:0"), cuda_entries(0, 0))
