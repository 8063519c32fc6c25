"""What makes the keys of two requests differ: image, model, options and owner."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from numpy.typing import NDArray

from spyglass.v1.classify_pb2 import ClassifyRequest
from spyglass.v1.heatmap_pb2 import HeatmapRequest
from spyglass.v1.image_pb2 import Image
from spyglass.v1.model_pb2 import ModelRef
from spyglass.v1.segment_pb2 import SegmentRequest
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.response_cache.keys import response_key
from spyglass_server.engine.response_cache.messages import reuse_of

REQUESTS = (ClassifyRequest, HeatmapRequest, SegmentRequest)
# They change nothing in the response but themselves, or are in the key in another form.
NO_OPTIONS = {"id", "index", "timeout", "image", "model"}


def settings_of(kind: type[Message], prefix: str = "") -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Yield each field of a message, those of its messages included, with a function that sets it."""
    for field in kind.DESCRIPTOR.fields:
        if prefix or field.name not in NO_OPTIONS:
            yield from _ways(field, prefix)


def _ways(field: FieldDescriptor, prefix: str) -> Iterator[tuple[str, Callable[[Any], None]]]:
    name = field.name
    if field.message_type is None:
        value: Any = {FieldDescriptor.CPPTYPE_STRING: "text", FieldDescriptor.CPPTYPE_BOOL: True}.get(
            field.cpp_type, 1
        )
        listed = _is_list(field)
        yield prefix + name, lambda m: getattr(m, name).append(value) if listed else setattr(m, name, value)
        return
    inner = field.message_type._concrete_class
    add: Callable[[Any], Any] = (
        (lambda m: getattr(m, name).add()) if _is_list(field) else (lambda m: getattr(m, name))
    )
    yield prefix + name, lambda m: add(m).SetInParent()
    for path, change in settings_of(inner, f"{prefix}{name}."):
        yield path, lambda m, change=change: change(add(m))


def _is_list(field: FieldDescriptor) -> bool:
    return hasattr(getattr(field.containing_type._concrete_class(), field.name), "append")


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_field_of_a_request_is_an_option(kind: type[Any]) -> None:
    found = {"nothing": reuse_of(kind()).options}
    for path, change in settings_of(kind):
        request = kind(id="7")
        change(request)
        found[path] = reuse_of(request).options

    # One for each field that the message has beside those that are no options.
    assert len(found) > len(kind.DESCRIPTOR.fields) - len(NO_OPTIONS)
    assert len(set(found.values())) == len(found)


@pytest.mark.parametrize("kind", REQUESTS)
def test_what_does_not_change_the_response_is_no_option(kind: type[Any]) -> None:
    request = kind(id="7", index=9, model=ModelRef(name="pets"), image=Image(encoded=b"image"))
    request.timeout.seconds = 3

    assert reuse_of(request).options == reuse_of(kind()).options


def test_a_class_that_is_set_to_0_is_another_option_than_none() -> None:
    assert reuse_of(HeatmapRequest(class_index=0)).options != reuse_of(HeatmapRequest()).options


def test_methods_do_not_share_responses() -> None:
    assert len({reuse_of(kind()).options for kind in REQUESTS}) == len(REQUESTS)


def pixels(*shape: int) -> NDArray[np.uint8]:
    return np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)


def test_every_part_of_a_key_counts() -> None:
    file = pixels(2, 3, 4).tobytes()
    keys = [
        response_key(b"options", b"model", b"owner", file),
        response_key(b"optionsm", b"odel", b"owner", file),
        response_key(b"options", b"other", b"owner", file),
        response_key(b"options", b"model", b"", file),
        response_key(b"options", b"model", b"owner", file + b"\0"),
        # The same bytes as pixels, in three shapes.
        *(
            response_key(b"options", b"model", b"owner", pixels(*s))
            for s in ((2, 3, 4), (3, 2, 4), (8, 3, 1))
        ),
    ]

    assert len(set(keys)) == len(keys)
    assert {len(key) for key in keys} == {32}


def test_equal_images_have_equal_keys_wherever_their_pixels_lie() -> None:
    apart = np.zeros((4, 6, 3), np.uint8)
    apart[::2, ::2] = pixels(2, 3, 3)

    assert response_key(b"", b"", b"", apart[::2, ::2]) == response_key(b"", b"", b"", pixels(2, 3, 3))


@pytest.fixture
def model(network: Any) -> Callable[..., Model]:
    """Make the model of the gated network: `model(sha256="ab" * 32, **arguments of Model)`."""

    def make(sha256: str = "ab" * 32, resources: Resources | None = None, **changes: Any) -> Model:
        return Model(network, sha256, resources or Resources(workers=1), **changes)

    return make


def test_models_with_the_same_files_have_the_same_identity(model: Callable[..., Model]) -> None:
    assert model().identity == model().identity


def test_models_that_may_differ_have_other_identities(
    model: Callable[..., Model], network: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        model(),
        model("cd" * 32),
        model(heatmap_sha256="cd" * 32),
        model(resources=Resources(workers=1, score_cam_channels=3)),
        # No hash covers their tensors, so two of them are not known to be equal.
        model(external=True),
        model(external=True),
    ]
    network.provider = "OtherExecutionProvider"
    found.append(model())
    network.card.version = 2
    found.append(model())
    network.card.reduced_precision.precision = "int8"
    found.append(model())

    assert len({each.identity for each in found}) == len(found)


def test_a_file_with_external_data_says_so(tiny_models: Path, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    source = tiny_models / "colors/1/model.onnx"
    target = tmp_path / "colors/1/model.onnx"
    target.parent.mkdir(parents=True)
    graph = onnx.load(str(source))
    # Only tensors of raw bytes can be in another file.
    for tensor in graph.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save(graph, str(target), save_as_external_data=True, location="data", size_threshold=0)

    first, second = (Model.load(target, Resources(workers=1)) for _ in range(2))
    plain = [Model.load(source, Resources(workers=1)) for _ in range(2)]

    assert first.served_by.sha256 == second.served_by.sha256
    assert first.identity != second.identity
    assert plain[0].identity == plain[1].identity
