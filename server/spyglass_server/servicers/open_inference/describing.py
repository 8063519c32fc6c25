"""Metadata, configurations and statistics of models as messages."""

from __future__ import annotations

from spyglass.inference.v2_pb2 import (
    TYPE_FP32,
    TYPE_STRING,
    TYPE_UINT8,
    DataType,
    InferBatchStatistics,
    InferStatistics,
    ModelConfig,
    ModelDynamicBatching,
    ModelInput,
    ModelInstanceGroup,
    ModelMetadataResponse,
    ModelOutput,
    ModelResponseCache,
    ModelStatistics,
    ModelTensorReshape,
    ModelTransactionPolicy,
    StatisticDuration,
)
from spyglass_server.engine.models.model import Model
from spyglass_server.observing.model_totals import ModelTotals, StageTotals
from spyglass_server.open_inference.metadata import (
    BACKEND,
    MODEL_FILE,
    PLATFORM,
    ModelMetadata,
)
from spyglass_server.open_inference.parameters import BULK_PRIORITY
from spyglass_server.open_inference.tensors import BYTES, FP32, UINT8, TensorSpec

_TYPES: dict[str, DataType.ValueType] = {BYTES: TYPE_STRING, FP32: TYPE_FP32, UINT8: TYPE_UINT8}
_NANOSECONDS = 1e9
_NANOSECONDS_OF_MS = 1e6
# The dimensions of the model's own input tensor without the batch: height, width, channels.
_IMAGE_DIMENSIONS = 3


def metadata_message(metadata: ModelMetadata) -> ModelMetadataResponse:
    """Return the metadata of a model."""
    tensor = ModelMetadataResponse.TensorMetadata
    return ModelMetadataResponse(
        name=metadata.name,
        versions=metadata.versions,
        platform=PLATFORM,
        inputs=[tensor(name=each.name, datatype=each.datatype, shape=each.shape) for each in metadata.inputs],
        outputs=[
            tensor(name=each.name, datatype=each.datatype, shape=each.shape) for each in metadata.outputs
        ],
    )


def config_message(model: Model, metadata: ModelMetadata, *, keeps_responses: bool) -> ModelConfig:
    """Return how the server runs a model."""
    served_by = model.served_by
    config = ModelConfig(
        name=metadata.name,
        platform=PLATFORM,
        backend=BACKEND,
        max_batch_size=metadata.max_images,
        input=[_input(each) for each in metadata.inputs],
        output=[
            ModelOutput(name=each.name, data_type=_TYPES[each.datatype], dims=each.shape[1:])
            for each in metadata.outputs
        ],
        instance_group=[
            ModelInstanceGroup(
                name=metadata.name, count=model.resources.workers, kind=_kind(served_by.provider)
            )
        ],
        default_model_filename=MODEL_FILE,
        dynamic_batching=ModelDynamicBatching(
            preferred_batch_size=[model.max_batch],
            priority_levels=BULK_PRIORITY,
            default_priority_level=1,
        ),
        model_transaction_policy=ModelTransactionPolicy(decoupled=False),
        response_cache=ModelResponseCache(enable=keeps_responses),
    )
    config.parameters["sha256"].string_value = served_by.sha256
    config.parameters["provider"].string_value = served_by.provider
    config.parameters["precision"].string_value = served_by.precision
    return config


def _input(spec: TensorSpec) -> ModelInput:
    dimensions = spec.shape[1:]
    made = ModelInput(name=spec.name, data_type=_TYPES[spec.datatype], dims=dimensions, optional=True)
    if len(dimensions) == _IMAGE_DIMENSIONS:
        made.format = ModelInput.FORMAT_NHWC
    elif not dimensions:
        # A configuration must have a dimension beside the batch.
        made.dims.append(1)
        made.reshape.CopyFrom(ModelTensorReshape())
    return made


def _kind(provider: str) -> ModelInstanceGroup.Kind.ValueType:
    gpu = provider.startswith(("CUDA", "Tensorrt"))
    return ModelInstanceGroup.KIND_GPU if gpu else ModelInstanceGroup.KIND_CPU


def statistics_message(model: Model, totals: ModelTotals) -> ModelStatistics:
    """Return what a version of a model has done."""
    images = totals.images
    count = images.images
    return ModelStatistics(
        name=model.card.name,
        version=str(model.card.version),
        last_inference=int(totals.last * 1000),
        inference_count=count + totals.cached,
        execution_count=totals.runs,
        inference_stats=InferStatistics(
            success=_duration(totals.succeeded, totals.succeeded_seconds * _NANOSECONDS),
            fail=_duration(totals.failed, totals.failed_seconds * _NANOSECONDS),
            queue=_duration(count, images.queue_ms * _NANOSECONDS_OF_MS),
            compute_input=_duration(count, images.decode_ms * _NANOSECONDS_OF_MS),
            compute_infer=_duration(count, images.inference_ms * _NANOSECONDS_OF_MS),
            compute_output=_duration(count, images.encode_ms * _NANOSECONDS_OF_MS),
            cache_hit=_duration(totals.cached, 0),
        ),
        batch_stats=[_batches(size, part) for size, part in totals.batches.items()],
    )


def _batches(size: int, part: StageTotals) -> InferBatchStatistics:
    runs = part.images // size
    return InferBatchStatistics(
        batch_size=size,
        compute_input=_duration(runs, part.decode_ms * _NANOSECONDS_OF_MS),
        # Each image counts the time of its whole run.
        compute_infer=_duration(runs, part.inference_ms / size * _NANOSECONDS_OF_MS),
        compute_output=_duration(runs, part.encode_ms * _NANOSECONDS_OF_MS),
    )


def _duration(count: int, nanoseconds: float) -> StatisticDuration:
    return StatisticDuration(count=count, ns=int(nanoseconds))
