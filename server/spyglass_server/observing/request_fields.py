"""The fields of a request's line in the log."""

from __future__ import annotations

from spyglass_server.engine.observation import Observation


def request_fields(observation: Observation, *, slow: bool = False) -> dict[str, object]:
    """Return what is known of a request by the names of `docs/logs.md`; what is unknown is left out.

    Nothing here is a text of the caller but the request's id, which is checked.
    """
    fields: dict[str, object] = {
        "request_id": observation.request_id,
        "code": observation.code,
        "duration_ms": _ms(observation.seconds * 1000),
    }
    if observation.reason:
        fields["reason"] = observation.reason
    if slow:
        fields["slow"] = True
    if call := observation.call:
        fields["caller"] = call.caller.name
    if observation.kind == "stream":
        fields["messages"], fields["failed"] = observation.messages, observation.failed
        return fields
    if observation.kind == "message" and hasattr(observation.request, "index"):
        fields["index"] = observation.request.index
    if observation.images:
        fields["images"] = len(observation.images)
    if observation.request_bytes:
        fields["request_bytes"] = observation.request_bytes
    if model := observation.model:
        fields["model"], fields["version"] = model.card.name, model.card.version
        fields["image_format"] = observation.image_format
    if observation.inferred:
        _add_stages(fields, observation)
    if observation.cached:
        fields["cached"] = True
        # It became known while the request waited.
        if (timing := observation.timing) and timing.queue_ms:
            fields["queue_ms"] = _ms(timing.queue_ms)
    if observation.inferred or observation.cached:
        _add_response(fields, observation)
    return fields


def _add_stages(fields: dict[str, object], observation: Observation) -> None:
    inferred, timing = observation.inferred, observation.timing
    if inferred is None:
        return
    fields["image_size"] = f"{inferred.prepared.width}x{inferred.prepared.height}"
    fields["queue_ms"] = _ms(inferred.queue_ms)
    fields["decode_ms"] = _ms(inferred.decode_ms)
    fields["inference_ms"] = _ms(inferred.inference_ms)
    if timing:
        fields["encode_ms"] = _ms(timing.encode_ms)
    fields["batch_size"] = inferred.batch_size


def _add_response(fields: dict[str, object], observation: Observation) -> None:
    if observation.model is None:
        return
    served_by = observation.served_by or observation.model.served_by
    fields["provider"], fields["precision"] = served_by.provider, served_by.precision
    if observation.response_bytes:
        fields["response_bytes"] = observation.response_bytes


def _ms(milliseconds: float) -> float:
    return round(milliseconds, 3)
