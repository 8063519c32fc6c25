"""The calls of the Open Inference Protocol v2 that need models, for any transport.

A request becomes a work of the engine for each of its images. So admission, deadlines, fairness, metrics and
errors are those of every other call.
"""

from __future__ import annotations

from threading import Event
from typing import cast

from spyglass.v1.model_pb2 import TASK_SEGMENT
from spyglass_contract.errors import NotFound, PermissionDenied
from spyglass_contract.model.card import HEATMAP
from spyglass_server.engine.call import Call
from spyglass_server.engine.engine import Engine
from spyglass_server.engine.models.model import Model
from spyglass_server.engine.scheduling.job import Done
from spyglass_server.engine.text import check_id
from spyglass_server.open_inference.batch import Batch
from spyglass_server.open_inference.inputs import images_of
from spyglass_server.open_inference.joining import ending_alone, start_all
from spyglass_server.open_inference.naming import find_model
from spyglass_server.open_inference.outputs import outputs_of
from spyglass_server.open_inference.parameters import call_of_request, explained_class
from spyglass_server.open_inference.reuse import options_of
from spyglass_server.open_inference.tensors import InferRequest, InferResult
from spyglass_server.permitted import Permitted


class OpenInference:
    """Runs requests and finds models; safe to use from any number of threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def models(self, call: Call) -> Permitted:
        """Return the models that the caller may use."""
        return Permitted(self._engine.repository, call.caller)

    def find(self, name: str, version: str, call: Call) -> Model:
        """Return the model for a request. Raises NotFound, InvalidInput and PermissionDenied."""
        return find_model(self.models(call), name, version)

    def is_ready(self, name: str, version: str, call: Call) -> bool:
        """Return whether a model serves. Raises InvalidInput and PermissionDenied."""
        try:
            self.find(name, version, call)
        except NotFound:
            return False
        return True

    @property
    def keeps_responses(self) -> bool:
        """Whether the server has a response cache."""
        return self._engine.responses is not None

    def check(self, call: Call) -> None:
        """Raise Overloaded if a request of this call would most probably be refused; takes little time."""
        self._engine.check(call)

    def start(self, request: InferRequest, call: Call, done: Done) -> None:
        """Start a request; its InferResult or its error goes to `done`, in any thread.

        Raises any of `spyglass_contract.errors` but ModelError; then `done` is not called.
        """
        check_id(request.id)
        model = find_model(self.models(call), request.model_name, request.model_version, request.id)
        if call.observation:
            call.observation.model = model
        outputs = outputs_of(request.outputs, model)
        explains = HEATMAP in outputs
        _check_scope(model, call, explains=explains)
        call = call_of_request(call, request.parameters)
        images = images_of(request.inputs, model)
        explained = explained_class(request.parameters, model) if explains else None
        options = options_of(request) if self._engine.responses else None
        observation = call.observation
        batch = Batch(self._engine, model, request.id, outputs, len(images), explained, options, observation)
        if len(images) == 1:
            work = batch.work(images[0], observation)
            self._engine.start(work, call, ending_alone(batch.result, done))
            return
        observed = observation.split(len(images)) if observation else [None] * len(images)
        works = [batch.work(image, each) for image, each in zip(images, observed, strict=True)]
        start_all(self._engine, works, call, observed, batch.result, done)

    def infer(self, request: InferRequest, call: Call) -> InferResult:
        """Run a request and wait for its result. Raises the errors of `start`, and those of its images."""
        ended, outcome = Event(), []

        def done(response: object, error: Exception | None) -> None:
            outcome.append((response, error))
            ended.set()

        self.start(request, call, done)
        ended.wait()
        response, error = outcome.pop()
        if error:
            raise error
        return cast(InferResult, response)


def _check_scope(model: Model, call: Call, *, explains: bool) -> None:
    """Raise PermissionDenied if the caller lacks the scope of the task."""
    identity = call.caller.identity
    if identity is None:
        return
    task = "segment" if model.task == TASK_SEGMENT else "heatmap" if explains else "classify"
    if task not in identity.scopes.tasks:
        raise PermissionDenied(f"the caller lacks the scope {task}", reason="SCOPE_MISSING")
