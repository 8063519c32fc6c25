"""Sessions of ONNX Runtime, with the options that all providers share."""

from __future__ import annotations

from collections.abc import Sequence

from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.model_file import ModelFile
from spyglass_contract.onnx_runtime import onnxruntime

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"

# ONNX Runtime's name of a provider, alone or with its options.
ProviderEntry = str | tuple[str, dict[str, str]]


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """Return the options of a session in which one run uses `threads` threads."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # A thread that spins without work takes the core from one that has work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    # Errors are raised as exceptions; without this ONNX Runtime prints them on standard error as well.
    options.log_severity_level = 4
    return options


def open_session(
    file: ModelFile, options: onnxruntime.SessionOptions, providers: Sequence[ProviderEntry]
) -> onnxruntime.InferenceSession:
    """Open the bytes of a file that were checked.

    Raises ModelError if ONNX Runtime cannot load them, or if the file was changed since.
    """
    content = file.content()
    # By default, bytes that look like ONNX Runtime's own format are read as that.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    if file.external_folder:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(file.external_folder)
        )
    try:
        session = onnxruntime.InferenceSession(content, sess_options=options, providers=list(providers))
    # ONNX Runtime's exceptions have no common base class.
    except Exception as error:
        raise ModelError(f"ONNX Runtime cannot load the file: {error}") from error
    # ONNX Runtime would hold them as long as the session, for a fallback that it does not have here.
    session._model_bytes = None
    file.check_external()
    return session
