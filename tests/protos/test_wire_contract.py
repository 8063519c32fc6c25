"""The .proto files: rules that clients in every language rely on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import EnumDescriptor, FileDescriptor

import google.rpc
from spyglass.v1 import (
    admin_pb2,
    classify_pb2,
    heatmap_pb2,
    image_pb2,
    model_pb2,
    reply_pb2,
    segment_pb2,
    vision_pb2,
)

PROTOS = Path(__file__).parents[2] / "protos"
FILES: list[FileDescriptor] = [
    module.DESCRIPTOR
    for module in (
        admin_pb2,
        classify_pb2,
        heatmap_pb2,
        image_pb2,
        model_pb2,
        reply_pb2,
        segment_pb2,
        vision_pb2,
    )
]
STREAMED = ("Classify", "Heatmap", "Segment")


def enums() -> Iterator[EnumDescriptor]:
    for file in FILES:
        yield from file.enum_types_by_name.values()
        for message in file.message_types_by_name.values():
            yield from message.enum_types


def test_every_file_is_tested() -> None:
    assert {file.name for file in FILES} == {
        str(path.relative_to(PROTOS)) for path in PROTOS.glob("spyglass/v1/*.proto")
    }


def test_zero_means_unspecified_in_every_enum() -> None:
    found = {enum.full_name: enum.values_by_number[0].name for enum in enums()}
    assert len(found) >= 9
    assert [name for name in found.values() if not name.endswith("_UNSPECIFIED")] == []


@pytest.mark.parametrize("call", STREAMED)
def test_every_request_has_index_and_timeout_and_every_response_has_index(call: str) -> None:
    service = vision_pb2.DESCRIPTOR.services_by_name["Vision"]
    for method in (service.methods_by_name[call], service.methods_by_name[f"{call}Stream"]):
        request, response = method.input_type.fields_by_name, method.output_type.fields_by_name
        assert request["index"].type == response["index"].type == request["index"].TYPE_UINT64
        assert request["timeout"].message_type.full_name == "google.protobuf.Duration"


@pytest.mark.parametrize("file", FILES, ids=lambda file: Path(file.name).stem)
def test_a_file_states_its_package_for_other_languages(file: FileDescriptor) -> None:
    options = file.GetOptions()
    assert options.java_package == "spyglass.v1" and options.java_multiple_files
    assert options.go_package == "spyglass/v1;spyglassv1"
    assert options.csharp_namespace == "Spyglass.V1"
    assert options.ruby_package == "Spyglass::V1"
    assert options.php_namespace == "Spyglass\\V1"
    assert options.objc_class_prefix == "SPG"


@pytest.mark.parametrize("name", ["status.proto", "error_details.proto"])
def test_the_copied_google_protos_equal_those_of_the_installed_package(name: str) -> None:
    """Generated Python code imports the package's; all other languages are generated from the copy."""
    folders = [Path(folder) for folder in google.rpc.__path__ if not Path(folder).is_relative_to(PROTOS)]
    copy = (PROTOS / "google/rpc" / name).read_text(encoding="utf-8")
    assert "Licensed under the Apache License, Version 2.0" in copy
    assert without_year(copy) == without_year((folders[0] / name).read_text(encoding="utf-8"))


def without_year(text: str) -> str:
    return text.partition("\n")[2]
