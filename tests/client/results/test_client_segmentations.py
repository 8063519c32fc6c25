"""`Client.segment` and `AsyncClient.segment`, against a server whose masks a test chooses."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from spyglass.v1.image_pb2 import Image as ImageMessage
from spyglass.v1.reply_pb2 import MapFrame, ServedBy, Timing
from spyglass.v1.segment_pb2 import (
    MASK_FORMAT_PNG_INDEXED,
    MASK_FORMAT_PNG_OVERLAY,
    MASK_SIZE_AS_IMAGE,
    MASK_SIZE_AS_MODEL,
    Mask,
    SegmentClass,
    SegmentRequest,
    SegmentResponse,
    SoftMap,
)
from spyglass.v1.vision_pb2_grpc import VisionServicer, VisionStub
from spyglass_client import (
    FailedPrecondition,
    Failure,
    InternalError,
    InvalidInput,
    Refinement,
    Segmentation,
    SegmentedClass,
)
from spyglass_contract.masks.colors import class_colors, hex_color
from spyglass_contract.masks.drawing import draw_mask
from spyglass_contract.masks.palette_png import encode_mask
from statuses import to_abort, to_status

Connect = Callable[..., Any]

NAMES = ("background", "cat", "dog", "cat")
COLORS = class_colors(NAMES)
WIDTH, HEIGHT = 40, 20
WHOLE = (0.0, 0.0, float(WIDTH), float(HEIGHT))


def cat_on_the_left() -> NDArray[np.uint8]:
    """The mask of an image of 40 × 20 pixels: a cat of 8 × 10 pixels, and 4 columns that were not seen."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[5:15, 2:10] = 1
    mask[:, 36:] = 255
    return mask


def grey_png(levels: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG")
    return buffer.getvalue()


def reply_with(
    mask: NDArray[np.uint8],
    *,
    box: tuple[float, float, float, float] = WHOLE,
    soft: NDArray[np.uint8] | None = None,
) -> SegmentResponse:
    """Return the response for `mask`; the probability map, if there is one, is that of the dog."""
    height, width = mask.shape
    left, top, right, bottom = box
    classes = [
        SegmentClass(
            index=index,
            name=name,
            pixels=int((mask == index).sum()),
            fraction=float((mask == index).mean()),
            mean_score=0.75,
            color=hex_color(COLORS[index]),
        )
        for index, name in enumerate(NAMES)
    ]
    reply = SegmentResponse(
        mask=Mask(height=height, width=width, data=encode_mask(mask, COLORS)),
        classes=classes,
        served_by=ServedBy(model="pets", version=3, sha256="ab" * 32, provider="CPUExecutionProvider"),
        timing=Timing(decode_ms=1.5, queue_ms=0.25, inference_ms=4, encode_ms=0.125, batch_size=2),
        frame=MapFrame(
            image_width=WIDTH, image_height=HEIGHT, left=left, top=top, right=right, bottom=bottom
        ),
    )
    if soft is not None:
        reply.soft.CopyFrom(SoftMap(class_index=2, height=height, width=width, data=grey_png(soft)))
    return reply


class FakeMasks(VisionServicer):
    """Responds with one reply, records its requests, and refuses images that are not PNG."""

    def __init__(self, reply: SegmentResponse) -> None:
        self.reply = reply
        self.requests: list[SegmentRequest] = []

    def Segment(self, request: SegmentRequest, context: grpc.ServicerContext) -> SegmentResponse:
        try:
            return self._respond(request)
        except InvalidInput as error:
            context.abort_with_status(to_abort(error, "request-7"))
            raise AssertionError from error

    def SegmentStream(
        self, request_iterator: Iterator[SegmentRequest], context: grpc.ServicerContext
    ) -> Iterator[SegmentResponse]:
        for request in request_iterator:
            try:
                yield self._respond(request)
            except InvalidInput as error:
                yield SegmentResponse(id=request.id, index=request.index, error=to_status(error, "request-7"))

    def _respond(self, request: SegmentRequest) -> SegmentResponse:
        self.requests.append(request)
        if not request.image.HasField("raw") and not request.image.encoded.startswith(b"\x89PNG"):
            raise InvalidInput("that is no image")
        reply = SegmentResponse()
        reply.CopyFrom(self.reply)
        reply.id, reply.index = request.id, request.index
        return reply


@pytest.fixture
def image(gradient_image: Image.Image, encode: Callable[..., bytes]) -> bytes:
    return encode(gradient_image)


@pytest.fixture
def segment_with(serve: Callable[..., str], connect: Connect, image: bytes) -> Callable[..., Segmentation]:
    """Return the client's result if the server sends this reply: `segment_with(reply, **arguments)`."""

    def segment(reply: SegmentResponse, **arguments: Any) -> Segmentation:
        result: Segmentation = connect(serve(FakeMasks(reply))).segment(image, **arguments)
        return result

    return segment


def test_a_segmentation_has_the_class_of_each_pixel(segment_with: Any) -> None:
    result = segment_with(reply_with(cat_on_the_left()), id="why")
    assert result.array.dtype == np.uint8
    np.testing.assert_array_equal(result.array, cat_on_the_left())
    np.testing.assert_array_equal(result.of(1), cat_on_the_left() == 1)
    assert result.of("dog").sum() == 0
    assert (result.width, result.height, result.box) == (WIDTH, HEIGHT, WHOLE)
    assert (result.id, result.error, result.soft) == ("why", None, None)


def test_all_classes_are_listed_with_their_part_of_the_mask(segment_with: Any) -> None:
    result = segment_with(reply_with(cat_on_the_left()))
    assert result.class_names == NAMES
    assert result.classes[1] == SegmentedClass(1, "cat", 80, pytest.approx(0.1), 0.75, "#e69f00")
    assert result.classes[2].pixels == 0


def test_the_request_has_the_arguments_of_the_call(serve: Any, connect: Connect, image: bytes) -> None:
    servicer = FakeMasks(reply_with(cat_on_the_left()))
    client = connect(serve(servicer))
    refinements = [Refinement("cat", largest_component=True), Refinement(2, fill_holes=True)]
    client.segment(image, model="pets:3", size="model", refine=refinements, soft="dog")
    client.segment(image, soft=2)
    first, second = servicer.requests
    assert (first.model.name, first.model.version) == ("pets", 3)
    assert (first.format, first.size) == (MASK_FORMAT_PNG_INDEXED, MASK_SIZE_AS_MODEL)
    assert [(entry.class_name, entry.class_index) for entry in first.refine] == [("cat", 0), ("", 2)]
    assert [(entry.largest_component, entry.fill_holes) for entry in first.refine] == [
        (True, False),
        (False, True),
    ]
    assert first.soft_class_name == "dog"
    assert (second.size, second.soft_class_index, list(second.refine)) == (MASK_SIZE_AS_IMAGE, 2, [])


def test_json_has_the_classes_that_occur_and_no_pixels(segment_with: Any) -> None:
    fields = segment_with(reply_with(cat_on_the_left())).to_dict()
    assert fields["model"] == {"name": "pets", "version": 3, "precision": "fp32"}
    assert fields["mask"] == {"width": WIDTH, "height": HEIGHT}
    assert [entry["name"] for entry in fields["classes"]] == ["background", "cat"]
    assert fields["classes"][1] == {
        "index": 1,
        "name": "cat",
        "pixels": 80,
        "fraction": 0.1,
        "mean_score": 0.75,
        "color": "#e69f00",
    }
    assert fields["timing_ms"]["inference"] == 4


def test_the_overlay_has_the_shared_drawing(segment_with: Any, gradient_image: Image.Image) -> None:
    overlay = segment_with(reply_with(cat_on_the_left())).overlay()
    reference = draw_mask(gradient_image, cat_on_the_left(), NAMES, COLORS)
    np.testing.assert_array_equal(np.asarray(overlay), np.asarray(reference))


def test_a_mask_of_size_model_is_drawn_over_its_frame(segment_with: Any, gradient_image: Image.Image) -> None:
    mask = np.zeros((4, 4), np.uint8)
    mask[:, 2:] = 2
    reply = reply_with(mask, box=(10.0, 0.0, 30.0, 20.0))
    result = segment_with(reply, size="model")
    reference = np.full((HEIGHT, WIDTH), 255, np.uint8)
    reference[:, 10:20], reference[:, 20:30] = 0, 2
    assert result.array.shape == (4, 4)
    overlay = draw_mask(gradient_image, reference, NAMES, COLORS)
    np.testing.assert_array_equal(np.asarray(result.overlay()), np.asarray(overlay))
    np.testing.assert_array_equal(np.asarray(result.cutout("dog"))[..., 3], (reference == 2) * 255)


def test_a_cutout_has_only_the_pixels_of_its_class(segment_with: Any, gradient_image: Image.Image) -> None:
    cutout = segment_with(reply_with(cat_on_the_left())).cutout(1)
    pixels, cat = np.asarray(cutout), cat_on_the_left() == 1
    assert (cutout.mode, cutout.size) == ("RGBA", (WIDTH, HEIGHT))
    np.testing.assert_array_equal(pixels[cat, :3], np.asarray(gradient_image)[cat])
    assert (pixels[cat, 3] == 255).all()
    assert not pixels[~cat].any()


def test_the_probability_map_is_the_opacity_of_the_cutout_of_its_class(segment_with: Any) -> None:
    soft = np.arange(HEIGHT * WIDTH, dtype=np.uint16).reshape(HEIGHT, WIDTH).astype(np.uint8)
    result = segment_with(reply_with(cat_on_the_left(), soft=soft), soft="dog")
    np.testing.assert_array_equal(result.soft, soft)
    assert result.soft_class == result.classes[2]
    np.testing.assert_array_equal(np.asarray(result.cutout("dog"))[..., 3], soft)
    assert np.asarray(result.cutout(1))[..., 3].sum() == 80 * 255


def test_a_probability_map_of_size_model_is_interpolated(segment_with: Any) -> None:
    soft = np.array([[0, 200]], np.uint8)
    result = segment_with(reply_with(np.zeros((1, 2), np.uint8), soft=soft), size="model", soft="dog")
    opacity = np.asarray(result.cutout("dog"))[0, :, 3]
    assert result.soft.shape == (1, 2)
    assert opacity[0] == 0
    assert opacity[-1] == 200
    assert (np.diff(opacity.astype(int)) >= 0).all()
    assert len(set(opacity.tolist())) > 10


# pycocotools makes its arrays with an interface that numpy has deprecated.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_pycocotools_reads_a_class(segment_with: Any) -> None:
    coco = pytest.importorskip("pycocotools.mask")
    result = segment_with(reply_with(cat_on_the_left()))
    for target, pixels in ((1, 80), ("background", HEIGHT * WIDTH - 80 - 4 * HEIGHT), ("dog", 0)):
        runs = result.coco(target)
        assert runs["size"] == [HEIGHT, WIDTH]
        assert coco.area(runs) == pixels
        np.testing.assert_array_equal(coco.decode(runs).astype(bool), result.of(target))


@pytest.mark.parametrize(
    ("target", "reason", "hint"),
    [
        ("cot", "CLASS_UNKNOWN", "did you mean 'cat'"),
        (7, "CLASS_UNKNOWN", "7"),
        ("cat", "CLASS_AMBIGUOUS", "1, 3"),
    ],
)
def test_an_unknown_or_ambiguous_class_is_an_error(
    segment_with: Any, target: int | str, reason: str, hint: str
) -> None:
    with pytest.raises(InvalidInput, match=hint) as caught:
        segment_with(reply_with(cat_on_the_left())).of(target)
    assert caught.value.reason == reason


def test_an_array_and_an_image_have_the_same_overlay(
    serve: Any, connect: Connect, gradient_image: Image.Image, image: bytes
) -> None:
    client = connect(serve(FakeMasks(reply_with(cat_on_the_left()))))
    overlays = [
        np.asarray(client.segment(kind).overlay())
        for kind in (image, gradient_image, np.asarray(gradient_image))
    ]
    for overlay in overlays[1:]:
        np.testing.assert_array_equal(overlay, overlays[0])


def test_many_images_are_segmented_in_order_with_failures_in_their_places(
    serve: Any, connect: Connect, image: bytes
) -> None:
    counted: list[int] = []
    client = connect(serve(FakeMasks(reply_with(cat_on_the_left()))))
    images = [image, b"text", image, "missing.png", image] * 5
    results = list(client.segment_many(images, window=4, progress=counted.append))
    assert [type(result) for result in results] == [
        Segmentation,
        Failure,
        Segmentation,
        Failure,
        Segmentation,
    ] * 5
    assert counted == list(range(1, 26))


def no_png(reply: SegmentResponse) -> None:
    reply.mask.data = b"GIF89a" + bytes(20)


def nothing(reply: SegmentResponse) -> None:
    reply.mask.data = b""


def another_size_than_stated(reply: SegmentResponse) -> None:
    reply.mask.width += 1
    reply.frame.image_width += 1


def another_size_than_the_image(reply: SegmentResponse) -> None:
    reply.frame.image_height += 1


def nowhere(reply: SegmentResponse) -> None:
    reply.frame.right = reply.frame.left


def classes_out_of_order(reply: SegmentResponse) -> None:
    reply.classes[0].index = 3


def no_color(reply: SegmentResponse) -> None:
    reply.classes[0].color = "black"


def everywhere(reply: SegmentResponse) -> None:
    reply.frame.right = float("inf")


def more_classes_than_a_mask_has(reply: SegmentResponse) -> None:
    reply.classes.extend(SegmentClass(index=index, color="#000000") for index in range(4, 256))


def soft_map_of_no_class(reply: SegmentResponse) -> None:
    reply.soft.class_index = 4


def soft_map_of_another_size(reply: SegmentResponse) -> None:
    reply.soft.data = grey_png(np.zeros((3, 3), np.uint8))


@pytest.mark.parametrize(
    "spoil",
    [
        no_png,
        nothing,
        another_size_than_stated,
        another_size_than_the_image,
        nowhere,
        everywhere,
        classes_out_of_order,
        more_classes_than_a_mask_has,
        no_color,
        soft_map_of_no_class,
        soft_map_of_another_size,
    ],
)
def test_an_invalid_response_is_an_error(
    serve: Any, connect: Connect, image: bytes, spoil: Callable[[SegmentResponse], None]
) -> None:
    reply = reply_with(cat_on_the_left(), soft=cat_on_the_left())
    spoil(reply)
    client = connect(serve(FakeMasks(reply)))
    with pytest.raises(InternalError) as caught:
        client.segment(image)
    assert caught.value.reason == "REPLY_INVALID"
    (failure,) = client.segment_many([image])
    assert failure.error.reason == "REPLY_INVALID"


def test_a_truncated_mask_is_an_error_when_it_is_decoded(segment_with: Any) -> None:
    reply = reply_with(cat_on_the_left(), soft=cat_on_the_left())
    reply.mask.data = reply.mask.data[:-30]
    reply.soft.data = reply.soft.data[:-30]
    result = segment_with(reply)
    assert result.classes[1].pixels == 80
    for look in (lambda: result.array, lambda: result.soft, lambda: result.overlay()):
        with pytest.raises(InternalError) as caught:
            look()
        assert caught.value.reason == "REPLY_INVALID"


def test_a_mask_is_not_drawn_over_an_image_of_another_size(segment_with: Any) -> None:
    reply = reply_with(cat_on_the_left()[:10])
    reply.frame.image_height = 10
    result = segment_with(reply)
    for draw in (result.overlay, lambda: result.cutout(1)):
        with pytest.raises(InternalError) as caught:
            draw()
        assert caught.value.reason == "REPLY_INVALID"


def test_no_memory_is_taken_for_an_image_that_was_not_sent(segment_with: Any) -> None:
    reply = reply_with(cat_on_the_left(), soft=cat_on_the_left())
    reply.frame.image_width = reply.frame.image_height = 2**32 - 1
    result = segment_with(reply, size="model")
    for draw in (result.overlay, lambda: result.cutout("background"), lambda: result.cutout("dog")):
        with pytest.raises(InternalError) as caught:
            draw()
        assert caught.value.reason == "REPLY_INVALID"


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": "huge"},
        {"size": ["image"]},
        {"soft": -1},
        {"soft": True},
        {"soft": 1.5},
        {"refine": [Refinement(-1)]},
        {"refine": ["cat"]},
        {"refine": Refinement("cat")},
    ],
    ids=str,
)
def test_invalid_arguments_are_rejected_before_anything_is_sent(
    connect: Connect, arguments: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput):
        connect("localhost:1").segment(b"", **arguments)


def test_the_overlay_equals_that_of_the_server(
    connect: Connect, segmenting_server: str, image: bytes
) -> None:
    request = SegmentRequest(image=ImageMessage(encoded=image), format=MASK_FORMAT_PNG_OVERLAY)
    with grpc.insecure_channel(segmenting_server) as channel:
        theirs = Image.open(io.BytesIO(VisionStub(channel).Segment(request).mask.data))
    overlay = connect(segmenting_server).segment(image).overlay()
    np.testing.assert_array_equal(np.asarray(overlay), np.asarray(theirs))


@pytest.mark.parametrize("model", ["stretch", "crop", "pad", "coarse"])
def test_masks_of_both_sizes_cover_the_same_part_of_the_image(
    connect: Connect, segmenting_server: str, square_image: Callable[..., Image.Image], model: str
) -> None:
    client, image = connect(segmenting_server), square_image((301, 100), (120, 20, 180, 80))
    opacities = [
        np.asarray(client.segment(image, model=model, size=size).cutout("red"))[..., 3]
        for size in ("image", "model")
    ]
    assert opacities[0][40:60, 140:160].all()
    # A cell of the network's output is up to 19 pixels wide here.
    assert (opacities[0] != opacities[1]).mean() < 0.1


def test_a_model_that_only_classifies_is_an_error(
    connect: Connect, explaining_server: str, image: bytes
) -> None:
    with pytest.raises(FailedPrecondition) as caught:
        connect(explaining_server).segment(image, model="colors")
    assert caught.value.reason == "MODEL_TASK_MISMATCH"
