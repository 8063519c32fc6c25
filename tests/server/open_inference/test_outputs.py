"""The outputs of a request, by themselves and as classes with names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spyglass_contract.images.pixels import prepare
from spyglass_server.open_inference.outputs import output_specs
from spyglass_server.open_inference.tensors import InputTensor, RequestedOutput


@pytest.fixture
def images(color_image: Callable[..., bytes]) -> InputTensor:
    """A red and a green image."""
    return InputTensor("image", "BYTES", (2,), [color_image("red"), color_image("green")])


def test_classes_come_as_texts_best_first(infer: Any, images: InputTensor) -> None:
    (output,) = infer(images, outputs=(RequestedOutput("probabilities", {"classification": 2}),)).outputs

    assert (output.datatype, output.shape) == ("BYTES", (2, 2))
    texts = [text.decode().split(":") for text in output.values]
    assert [(index, name) for _, index, name in texts[::2]] == [("0", "red"), ("1", "green")]
    assert float(texts[0][0]) > 0.9 > float(texts[1][0])
    assert output.raw()[:4] == len(output.values[0]).to_bytes(4, "little")


def test_more_classes_than_there_are_mean_all(infer: Any, images: InputTensor) -> None:
    (output,) = infer(images, outputs=(RequestedOutput("probabilities", {"classification": 1000}),)).outputs
    assert output.shape == (2, 3)


def test_heatmaps_come_only_if_requested_and_have_the_size_of_the_input(
    infer: Any, images: InputTensor
) -> None:
    assert [output.name for output in infer(images).outputs] == ["probabilities"]

    result = infer(images, outputs=(RequestedOutput("heatmap"), RequestedOutput("probabilities")))

    heatmap, probabilities = result.outputs
    assert (heatmap.name, heatmap.datatype, heatmap.shape) == ("heatmap", "FP32", (2, 8, 8))
    assert heatmap.values.min() >= 0 and heatmap.values.max() <= 1
    assert len(heatmap.raw()) == 2 * 8 * 8 * 4
    assert probabilities.shape == (2, 3)


@pytest.mark.parametrize("target", [{"class_index": 1}, {"class_name": "green"}])
def test_a_heatmap_explains_the_class_that_is_named(
    infer: Any, find: Any, color_image: Callable[..., bytes], target: dict[str, Any]
) -> None:
    red = color_image("red")
    model = find("colors")
    pixels = prepare(red, model.card.input).pixels[np.newaxis]
    _, expected = model.network.explain(pixels, [1])

    request = InputTensor("image", "BYTES", (1,), [red])
    (output,) = infer(request, outputs=(RequestedOutput("heatmap"),), **target).outputs

    assert output.values.max() == pytest.approx(expected.max(), abs=1e-6)
    (other,) = infer(request, outputs=(RequestedOutput("heatmap"),)).outputs
    assert not np.array_equal(output.values, other.values)


def test_a_segmentation_model_returns_its_probabilities_and_the_mask(
    infer: Any, square_image: Callable[..., Any], encode: Callable[..., bytes]
) -> None:
    image = encode(square_image((32, 24), (0, 0, 16, 24)), "PNG")

    probabilities, mask = infer(InputTensor("image", "BYTES", (2,), [image] * 2), model="stretch").outputs

    assert (probabilities.name, probabilities.shape) == ("probabilities", (2, 24, 32, 4))
    assert (mask.name, mask.datatype, mask.shape) == ("mask", "UINT8", (2, 24, 32))
    np.testing.assert_array_equal(mask.values, probabilities.values.argmax(axis=3))
    assert set(np.unique(mask.values[0][:, :16])) == {1} and set(np.unique(mask.values[0][:, 16:])) == {3}


def test_cells_of_padding_are_void_in_a_mask_of_a_file_and_not_of_pixels(
    infer: Any, find: Any, square_image: Callable[..., Any], encode: Callable[..., bytes]
) -> None:
    # As wide as the input, and half as high.
    image = encode(square_image((32, 12), (0, 0, 32, 12)), "PNG")
    outputs = (RequestedOutput("mask"),)

    (mask,) = infer(InputTensor("image", "BYTES", (1,), [image]), outputs=outputs, model="pad").outputs
    assert set(np.unique(mask.values[0][:6])) == {255} and set(np.unique(mask.values[0][6:18])) == {1}

    pixels = prepare(image, find("pad").card.input).pixels
    tensor = InputTensor("image", "UINT8", (1, 24, 32, 3), pixels.tobytes())
    (mask,) = infer(tensor, outputs=outputs, model="pad").outputs
    assert 255 not in mask.values


@pytest.mark.parametrize(
    ("model", "output", "refusal"),
    [
        ("colors", RequestedOutput("logits"), ("InvalidInput", "OUTPUT_UNKNOWN", "outputs.name")),
        ("colors", RequestedOutput("x" * 100_000), ("InvalidInput", "OUTPUT_UNKNOWN", "outputs.name")),
        ("colors", RequestedOutput("mask"), ("InvalidInput", "OUTPUT_UNKNOWN", "outputs.name")),
        ("pad", RequestedOutput("heatmap"), ("InvalidInput", "OUTPUT_UNKNOWN", "outputs.name")),
        ("plain", RequestedOutput("heatmap"), ("FailedPrecondition", "HEATMAP_MISSING", "model.name")),
        (
            "colors",
            RequestedOutput("heatmap", {"classification": 1}),
            ("InvalidInput", "CLASSIFICATION_INVALID", "outputs.parameters"),
        ),
        (
            "pad",
            RequestedOutput("probabilities", {"classification": 1}),
            ("InvalidInput", "CLASSIFICATION_INVALID", "outputs.parameters"),
        ),
        *(
            (
                "colors",
                RequestedOutput("probabilities", {"classification": count}),
                ("InvalidInput", "PARAMETER_INVALID", "parameters.classification"),
            )
            for count in (0, -1, 1.5, "many", True)
        ),
        (
            "colors",
            RequestedOutput("probabilities", {"shared_memory_region": "a"}),
            ("Unimplemented", "SHARED_MEMORY_UNSUPPORTED", "outputs"),
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_other_outputs_are_refused(
    refuses: Any, images: InputTensor, model: str, output: RequestedOutput, refusal: Any
) -> None:
    assert refuses(images, model=model, outputs=(output,)) == refusal


def test_an_output_may_be_named_once_and_few_may_be_named(refuses: Any, images: InputTensor) -> None:
    output = RequestedOutput("probabilities")
    assert refuses(images, outputs=(output, output))[1] == "OUTPUT_REPEATED"
    assert refuses(images, outputs=(output,) * 100_000)[1] == "TOO_MANY_OUTPUTS"


def test_outputs_that_take_too_many_bytes_together_are_refused(
    refuses: Any, images: InputTensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spyglass_server.open_inference import batch

    monkeypatch.setattr(batch, "MAX_REPLY_BYTES", 23)
    assert refuses(images) == ("LimitExceeded", "OUTPUTS_TOO_LARGE", "outputs")


def test_metadata_shows_the_outputs(find: Any) -> None:
    def shown(name: str) -> list[tuple[str, str, tuple[int, ...]]]:
        return [(spec.name, spec.datatype, spec.shape) for spec in output_specs(find(name))]

    assert shown("colors") == [("probabilities", "FP32", (-1, 3)), ("heatmap", "FP32", (-1, 8, 8))]
    assert shown("plain") == [("probabilities", "FP32", (-1, 3))]
    assert shown("pad") == [("probabilities", "FP32", (-1, -1, -1, 4)), ("mask", "UINT8", (-1, -1, -1))]
