"""CUDA: bound and pinned buffers, padded batches, and several GPUs."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import InputSpec, ModelCard
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_contract.images.input_spec import channels
from spyglass_contract.model.card import CLASS_INDEX
from spyglass_contract.model.certificate import verify
from spyglass_contract.model_files.model_file import ModelFile
from spyglass_contract.onnx_runtime import onnxruntime
from spyglass_server.engine.models.choices import ComputePrecision
from spyglass_server.engine.models.providers.graph import Graph
from spyglass_server.engine.models.providers.io_binding import BoundRuns
from spyglass_server.engine.models.providers.least_busy import LeastBusy
from spyglass_server.engine.models.providers.onnx_sessions import (
    CPU,
    CUDA,
    ProviderEntry,
    open_session,
    session_options,
)
from spyglass_server.engine.models.providers.padding import padded_sizes
from spyglass_server.engine.models.providers.pinned import cuda_runtime
from spyglass_server.engine.models.providers.placement import DeviceError, Placement, cuda_ids
from spyglass_server.engine.models.providers.provider import Opened, Run

# The entries of a session for GPU number N.
Entries = Callable[[int], Sequence[ProviderEntry]]


class Cuda:
    """ONNX Runtime's provider for NVIDIA's GPUs."""

    name, label = "cuda", CUDA
    on_gpu = True
    best_batch = 16
    precisions: tuple[ComputePrecision, ...] = ("fp32",)

    def available(self) -> bool:
        """Return whether this ONNX Runtime has CUDA; the machine may still have no GPU."""
        return CUDA in onnxruntime.get_available_providers()

    def check(self, precision: ComputePrecision) -> None:
        """Raise DeviceError if this ONNX Runtime has no CUDA."""
        if not self.available():
            raise DeviceError("this ONNX Runtime has no CUDA: install onnxruntime-gpu")

    def open(self, file: ModelFile, graph: Graph, placement: Placement) -> Opened:
        """Open a session on each GPU; see `Provider.open`."""
        load_libraries()
        entries = partial(cuda_entries, placement.gpu_memory_limit)
        return open_on_gpus(file, graph, placement, entries, entries)


@cache
def load_libraries() -> None:
    """Load the libraries of CUDA from NVIDIA's Python packages if there are any.

    Otherwise ONNX Runtime looks for them where the system has its libraries.
    """
    if importlib.util.find_spec("nvidia") is not None:
        onnxruntime.preload_dlls()


def cuda_entries(memory_limit: int, device_id: int) -> list[ProviderEntry]:
    """Return the entries of a session on one GPU; `memory_limit` is in bytes, 0 for none."""
    options = {
        "device_id": str(device_id),
        # TF32 has 10 bits of mantissa: its probabilities differ from those in the certificate.
        "use_tf32": "0",
        # The exhaustive search runs again for each new size of a batch.
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    if memory_limit:
        # By default the arena doubles, past the limit for the last allocation.
        options |= {"gpu_mem_limit": str(memory_limit), "arena_extend_strategy": "kSameAsRequested"}
    return [(CUDA, options), CPU]


def open_on_gpus(
    file: ModelFile, graph: Graph, placement: Placement, classes: Entries, whole: Entries
) -> Opened:
    """Open the file on each GPU of the placement; a run takes the least busy one.

    `classes` are the entries of the sessions for classes, `whole` those of the session for heatmaps, which is
    opened on the first GPU when the first heatmap is requested. Raises DeviceError if ONNX Runtime cannot use
    a GPU, and CertificateError if a further GPU does not reproduce the certificate.
    """
    ids = cuda_ids(placement.device) or [0]
    bound = [
        BoundRuns(
            open_classes(file, graph, placement, classes(number)),
            graph.card.input.tensor,
            "cuda",
            number,
            cuda_runtime(),
        )
        for number in ids
    ]
    largest = 1 if graph.one_image else placement.max_batch or Cuda.best_batch
    for runs in bound:
        warm_up(runs.run, graph.card.input, largest)
    replay_further([runs.run for runs in bound[1:]], graph.card)
    return Opened(
        provider=_first(classes(ids[0])),
        run=least_busy_run(LeastBusy(bound)),
        open_whole=partial(_open_checked, file, whole(ids[0]), session_options(placement.threads)),
        whole_provider=_first(whole(ids[0])),
    )


def warm_up(run: Run, spec: InputSpec, largest: int) -> None:
    """Run each padded size up to that of `largest` once: the first run of a size chooses its kernels.

    Raises ModelError if a batch does not run, such as one that needs more memory than there is.
    """
    for size in padded_sizes(largest):
        try:
            run(np.zeros((size, spec.height, spec.width, channels(spec)), np.uint8))
        # ONNX Runtime's exceptions have no common base class.
        except Exception as error:
            raise ModelError(
                f"a batch of {size} does not run on the GPU: {error}; a smaller --max-batch or a larger "
                "--gpu-memory-limit may help"
            ) from error


def replay_further(runs: Sequence[Run], card: ModelCard) -> None:
    """Replay the certificate on every GPU but the first, on which the model replays it.

    Raises CertificateError.
    """
    for number, run in enumerate(runs, start=2):
        try:
            verify(card, run)
        except CertificateError as error:
            raise CertificateError(f"on GPU number {number} of the list: {error.message}") from error


def open_classes(
    file: ModelFile, graph: Graph, placement: Placement, entries: Sequence[ProviderEntry]
) -> onnxruntime.InferenceSession:
    """Open a session that computes no heatmap.

    ONNX Runtime can only bind required inputs. So the list of requested classes, an optional input, gets an
    empty list as its default, and the branch of the heatmap never runs.
    """
    options = session_options(placement.threads)
    if not graph.explains:
        return _open_checked(file, entries, options)
    options.add_initializer(CLASS_INDEX, _no_class())
    return _open_checked(file, entries, options)


@cache
def _no_class() -> onnxruntime.OrtValue:
    """Return an empty list of classes, which sessions keep a pointer to."""
    return onnxruntime.OrtValue.ortvalue_from_numpy(np.empty(0, np.int64))


def least_busy_run(runs: LeastBusy[BoundRuns]) -> Run:
    """Return a function that runs each batch on the least busy GPU."""

    def run(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with runs.take() as bound:
            return bound.run(pixels)

    return run


def _open_checked(
    file: ModelFile, entries: Sequence[ProviderEntry], options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    session = open_session(file, options, entries)
    found, wanted = session.get_providers()[0], _first(entries)
    # ONNX Runtime takes the next provider if a library or a GPU is missing.
    if found != wanted:
        raise DeviceError(
            f"{wanted} was requested, but ONNX Runtime put the model on {found}: check the driver, the GPU "
            "and the libraries that this ONNX Runtime needs"
        )
    return session


def _first(entries: Sequence[ProviderEntry]) -> str:
    first = entries[0]
    return first if isinstance(first, str) else first[0]
