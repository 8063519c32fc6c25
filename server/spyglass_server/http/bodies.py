"""Bodies as request messages: an image, a form with an image, or JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any, TypeVar

from google.protobuf.message import Message
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from spyglass_contract.errors import InvalidInput
from spyglass_server.http.arrivals import MediaTypeUnsupported
from spyglass_server.http.fields import fill, parse_dict
from spyglass_server.http.json_text import parse_json

JSON, FORM = "application/json", "multipart/form-data"
_BINARY = "application/octet-stream"
_MAX_FIELDS = 64
_MAX_FIELD_BYTES = 64 * 1024
# Of a request in JSON.
_MAX_VALUES = 10_000
_MAX_BOUNDARY = 70
IMAGE_FIELD = "image"

RequestMessage = TypeVar("RequestMessage", bound=Message)
_Result = TypeVar("_Result")


def message_of(kind: Callable[[], RequestMessage]) -> Callable[[Request, bytes], RequestMessage]:
    """Return what makes a message of a body and the query. It raises InvalidInput."""

    def parse(request: Request, body: bytes) -> RequestMessage:
        message = kind()
        media_type = request.headers.get("content-type", _BINARY).partition(";")[0].strip().lower()
        if media_type == JSON:
            _from_json(message, body)
        elif media_type == FORM:
            _from_form(message, request, body)
        elif media_type.startswith("image/") or media_type == _BINARY:
            _set_image(message, body)
        else:
            raise MediaTypeUnsupported(
                f"Content-Type must be image/*, {_BINARY}, {FORM} or {JSON}, not {media_type[:100]!r}",
                field="content-type",
            )
        fill(message, request.query_params.multi_items())
        return message

    return parse


def _set_image(message: Any, data: bytes) -> None:
    if not data:
        raise InvalidInput("the body has no image", reason="IMAGE_MISSING", field="image")
    message.image.encoded = data


def _from_json(message: Message, body: bytes) -> None:
    value = parse_json(body, most_values=_MAX_VALUES)
    if not isinstance(value, dict):
        raise InvalidInput("the JSON must be an object", reason="JSON_INVALID", field="body")
    parse_dict(value, message, "body")


class _Parser(MultiPartParser):
    # The body is in memory already. No part of it goes to a disk.
    spool_max_size = 1 << 40


def _finished(coroutine: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of a coroutine that waits for nothing: everything that it reads is in memory."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: _Result = end.value
        return result
    raise RuntimeError("the form waits for something outside of memory")


def _check_parts(request: Request, body: bytes) -> None:
    """Raise InvalidInput for a form with many parts before the parser takes seconds for it."""
    boundary = parse_options_header(request.headers["content-type"])[1].get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise InvalidInput(
            f"Content-Type {FORM} must have a boundary of 1 to {_MAX_BOUNDARY} characters",
            reason="FORM_INVALID",
            field="content-type",
        )
    # The image and the end have one, too, and the image may contain some by chance.
    if body.count(b"--" + boundary) > 2 * _MAX_FIELDS:
        raise InvalidInput(
            f"a form may have the image and at most {_MAX_FIELDS} fields", reason="FORM_INVALID", field="body"
        )


def _from_form(message: Message, request: Request, body: bytes) -> None:
    _check_parts(request, body)

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    async def read() -> tuple[bytes, list[tuple[str, str]]]:
        parser = _Parser(
            request.headers,
            stream(),
            max_files=1,
            max_fields=_MAX_FIELDS,
            max_part_size=_MAX_FIELD_BYTES,
        )
        form = await parser.parse()
        try:
            files = [(name, value) for name, value in form.multi_items() if isinstance(value, UploadFile)]
            texts = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
            for name, _ in files:
                if name != IMAGE_FIELD:
                    raise InvalidInput(
                        f"the file of a form must be its field {IMAGE_FIELD}, not {name[:100]!r}",
                        reason="FIELD_UNKNOWN",
                        field="body",
                    )
            return await files[0][1].read() if files else b"", texts
        finally:
            await form.close()

    try:
        image, texts = _finished(read())
    except (MultiPartException, KeyError, ValueError) as error:
        text = error.message if isinstance(error, MultiPartException) else "a header of a part is invalid"
        raise InvalidInput(
            f"the body is not a form: {text[:200]}", reason="FORM_INVALID", field="body"
        ) from None
    _set_image(message, image)
    fill(message, texts)
