"""The calls of `spyglass.v1.Vision`: a request message in, a response message out.

Handlers know no protocol. They raise the errors of `spyglass_contract.errors`. Those with a call block until
the response is ready; `start` does not. gRPC and the transport of `local_client` use the same handlers.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from spyglass.v1.classify_pb2 import ClassifyRequest, ClassifyResponse
from spyglass.v1.heatmap_pb2 import ExplainedClass, HeatmapRequest, HeatmapResponse
from spyglass.v1.model_pb2 import (
    TASK_CLASSIFY,
    TASK_SEGMENT,
    GetModelRequest,
    GetModelResponse,
    ListModelsRequest,
    ListModelsResponse,
    ModelCard,
    ServedModel,
)
from spyglass.v1.segment_pb2 import SegmentRequest, SegmentResponse
from spyglass_contract.images.message import image_data
from spyglass_contract.model.card import PREDICTED
from spyglass_contract.model.statistics import Statistics
from spyglass_server.engine.call import Call
from spyglass_server.engine.canvas import Canvas
from spyglass_server.engine.classes import best_classes, class_score, top_count
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.finite import check_finite
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.own_deadline import with_own_deadline
from spyglass_server.engine.profiling.message import profile_message
from spyglass_server.engine.response_cache.messages import reuse_of
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.engine.text import check_id
from spyglass_server.engine.work import Inferred, Work
from spyglass_server.heatmaps.drawing import Drawing, MapDrawing, check_map_size
from spyglass_server.heatmaps.explain import Explained, check_explains, explaining_work
from spyglass_server.heatmaps.targets import target_indices
from spyglass_server.masks.encoding import check_mask_size
from spyglass_server.masks.segmenting import Segmenting
from spyglass_server.permitted import Permitted
from spyglass_server.routing_messages import routing_message

if TYPE_CHECKING:
    # A client in this process has no stores that change.
    from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle

Request = TypeVar("Request", ClassifyRequest, SegmentRequest, HeatmapRequest)

Plan = Callable[[Request, Call], Work]
"""Checks a request and returns its work. Raises InvalidInput, NotFound and others; takes no long time."""


class Handlers:
    """One method for each call; safe to use from any number of threads.

    Every method raises any of `spyglass_contract.errors` but ModelError, which only a repository that loads
    models on demand raises.
    """

    def __init__(
        self,
        engine: Engine,
        seen: Callable[[Model], Statistics | None] = lambda model: None,
        lifecycle: Lifecycle | None = None,
    ) -> None:
        """`seen` returns what a model has seen of late; None: nothing is known.

        `lifecycle` knows the states of versions; None: the models do not change.
        """
        self._engine = engine
        self._seen = seen
        self._lifecycle = lifecycle

    def classify(self, request: ClassifyRequest, call: Call) -> ClassifyResponse:
        """Return the `top_k` most probable classes of the image."""
        return cast(ClassifyResponse, self._run(self.classify_work, request, call))

    def heatmap(self, request: HeatmapRequest, call: Call) -> HeatmapResponse:
        """Return the most probable classes, and a heatmap for each target, from one forward pass.

        With Score-CAM it takes a forward pass for each channel of the feature map.
        """
        return cast(HeatmapResponse, self._run(self.heatmap_work, request, call))

    def segment(self, request: SegmentRequest, call: Call) -> SegmentResponse:
        """Return the class of each pixel of the upright image, and a probability map if requested."""
        return cast(SegmentResponse, self._run(self.segment_work, request, call))

    def check(self, call: Call) -> None:
        """Raise Overloaded if a request of this call would most probably be refused; takes little time."""
        self._engine.check(call)

    def start(self, plan: Plan[Request], request: Request, call: Call, done: Done) -> None:
        """Start a request; `plan` is the method that returns its work. See `Engine.start`."""
        self._engine.start(self._work(plan, request, call), with_own_deadline(call, request), done)

    def classify_work(self, request: ClassifyRequest, call: Call) -> Work:
        """Return the work of `classify`."""
        check_id(request.id)
        model = self._models(call).resolve(request.model, TASK_CLASSIFY, request.id)
        count = top_count(request.top_k, model)
        respond = partial(_classified, model, count, request.id, request.index)
        return self._engine.work(image_data(request.image), model, model.network.run, respond)

    def heatmap_work(self, request: HeatmapRequest, call: Call) -> Work:
        """Return the work of `heatmap`."""
        check_id(request.id)
        model = self._models(call).resolve(request.model, TASK_CLASSIFY, request.id)
        check_explains(model)
        count, drawing = top_count(request.top_k, model), Drawing.from_request(request)
        targets, image = target_indices(request, model.class_names), image_data(request.image)
        check = partial(check_map_size, drawing=drawing, maps=len(targets))

        def respond(inferred: Inferred[Explained]) -> HeatmapResponse:
            check_finite(model, inferred.output.probabilities, inferred.output.maps)
            started = time.monotonic()
            classes = best_classes(inferred.output.probabilities, model.class_names, count)
            canvas = Canvas(image, inferred.prepared, model.card.input, self._engine.limits)
            first, *further = _draw_maps(inferred.output, targets, model, MapDrawing(canvas, drawing))
            return HeatmapResponse(
                id=request.id,
                index=request.index,
                heatmap=first.heatmap,
                target=first.target,
                further=further,
                classes=classes,
                layer=model.card.explained_layer,
                frame=canvas.frame,
                served_by=model.heatmaps_served_by,
                timing=inferred.timing(started),
            )

        return explaining_work(self._engine, image, model, targets, respond, check)

    def segment_work(self, request: SegmentRequest, call: Call) -> Work:
        """Return the work of `segment`."""
        check_id(request.id)
        model = self._models(call).resolve(request.model, TASK_SEGMENT, request.id)
        segmenting, image = Segmenting.from_request(request, model.class_names), image_data(request.image)
        check = partial(check_mask_size, style=segmenting.style)

        def respond(inferred: Inferred[NDArray[np.float32]]) -> SegmentResponse:
            check_finite(model, inferred.output)
            started = time.monotonic()
            canvas = Canvas(image, inferred.prepared, model.card.input, self._engine.limits)
            segmented = segmenting.draw(inferred.output, canvas)
            return SegmentResponse(
                id=request.id,
                index=request.index,
                mask=segmented.mask,
                classes=segmented.classes,
                soft=segmented.soft,
                frame=canvas.frame,
                served_by=model.served_by,
                timing=inferred.timing(started),
            )

        return self._engine.work(image, model, model.network.run, respond, check, "segment")

    def _run(self, plan: Plan[Request], request: Request, call: Call) -> object:
        return self._engine.run(self._work(plan, request, call), with_own_deadline(call, request))

    def _work(self, plan: Plan[Request], request: Request, call: Call) -> Work:
        work = plan(request, call)
        return work if self._engine.responses is None else replace(work, reuse=reuse_of(request))

    def list_models(self, request: ListModelsRequest, call: Call) -> ListModelsResponse:
        """Return every model that the caller may use, by name and version, and the states of all versions."""
        permitted = self._models(call)
        response = ListModelsResponse(models=[self._served(model) for model in permitted])
        if self._lifecycle:
            response.versions.extend(
                status.to_message() for status in self._lifecycle.statuses() if permitted.allows(status.name)
            )
            response.routings.extend(
                routing_message(name, *routing)
                for name, routing in self._lifecycle.routings().items()
                if permitted.allows(name)
            )
        return response

    def get_model(self, request: GetModelRequest, call: Call) -> GetModelResponse:
        """Return one model's card, how it runs, and what it has seen of late."""
        model = self._models(call).find_of_task(request.model, request.task)
        card = _card(model.card, with_golden=request.with_golden)
        seen = self._seen(model)
        return GetModelResponse(card=card, served=self._served(model), seen=seen.message() if seen else None)

    def _models(self, call: Call) -> Permitted:
        return Permitted(self._engine.repository, call.caller)

    def _served(self, model: Model) -> ServedModel:
        return ServedModel(
            name=model.card.name,
            version=model.card.version,
            task=model.card.task,
            sha256=model.served_by.sha256,
            provider=model.served_by.provider,
            precision=model.served_by.precision,
            is_default=model is self._engine.repository.default(model.card.task),
            class_count=len(model.card.class_names),
            workers=model.resources.workers,
            threads_per_worker=model.resources.threads_per_worker,
            max_batch=model.max_batch,
            profile=profile_message(model.profile) if model.profile else None,
        )


def _classified(
    model: Model, count: int, request_id: str, index: int, inferred: Inferred[NDArray[np.float32]]
) -> ClassifyResponse:
    check_finite(model, inferred.output)
    started = time.monotonic()
    return ClassifyResponse(
        id=request_id,
        index=index,
        classes=best_classes(inferred.output, model.class_names, count),
        served_by=model.served_by,
        timing=inferred.timing(started),
    )


def _draw_maps(
    output: Explained, targets: tuple[int, ...], model: Model, drawing: MapDrawing
) -> list[ExplainedClass]:
    predicted = int(output.probabilities.argmax())
    return [
        ExplainedClass(
            target=class_score(
                predicted if index == PREDICTED else index, output.probabilities, model.class_names
            ),
            heatmap=drawing.draw(values),
        )
        for index, values in zip(targets, output.maps, strict=True)
    ]


def _card(card: ModelCard, *, with_golden: bool) -> ModelCard:
    """Return a copy of the card, without the golden images and tensors unless they are requested."""
    sent = ModelCard()
    sent.CopyFrom(card)
    if not with_golden:
        sent.certificate.ClearField("images")
        sent.certificate.ClearField("tensors")
    return sent
