"""The operators that a model file may have: those of ONNX Runtime itself, and functions in the file."""

from __future__ import annotations

from spyglass_contract.errors import ModelError
from spyglass_contract.model_files.limits import FileLimits
from spyglass_contract.model_files.outline import Body, Operator, Outline, too_many_nodes

# The domains of ONNX Runtime's own operators; `get_all_operator_schema` lists the same.
BUILT_IN_DOMAINS = frozenset(
    ("", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "com.ms.internal.nhwc")
)
# These hold or name a compiled program, which a provider loads and runs.
_COMPILED = frozenset((("com.microsoft", "EPContext"), ("com.microsoft", "Snpe")))


def check_operators(outline: Outline, limits: FileLimits) -> None:
    """Raise ModelError for an operator that needs a library, and for functions that call too many nodes."""
    for body in (outline.main, *outline.functions.values()):
        for operator in body.operators:
            _check(operator, outline)
    _Sizes(outline, limits).check()


def _check(operator: Operator, outline: Outline) -> None:
    domain, name = operator
    shown = f"{domain[:100]}.{name[:100]}".strip(".")
    if operator in _COMPILED:
        raise ModelError(
            f"the file has the operator {shown!r}, which runs a compiled program: export the network without "
            "it",
            reason="MODEL_CUSTOM_OPERATOR",
        )
    if domain not in BUILT_IN_DOMAINS and operator not in outline.functions:
        raise ModelError(
            f"the file has the operator {shown!r}, which ONNX Runtime does not have; the server loads no "
            "libraries of operators: export the network with ONNX's own operators",
            reason="MODEL_CUSTOM_OPERATOR",
        )


class _Sizes:
    """The number of nodes when each call of a function is replaced by its nodes, as ONNX Runtime does."""

    def __init__(self, outline: Outline, limits: FileLimits) -> None:
        self._outline = outline
        self._limits = limits
        self._known: dict[Operator, int] = {}

    def check(self) -> None:
        """Raise ModelError past the limit, and for a function that calls itself."""
        self._expanded(self._outline.main, ())
        for operator in self._outline.functions:
            self._function(operator, ())

    def _expanded(self, body: Body, callers: tuple[Operator, ...]) -> int:
        size = 0
        for operator, count in body.operators.items():
            is_call = operator in self._outline.functions
            size += count * (self._function(operator, callers) if is_call else 1)
            if size > self._limits.max_nodes:
                raise too_many_nodes(self._limits)
        return size

    def _function(self, operator: Operator, callers: tuple[Operator, ...]) -> int:
        if operator in callers:
            raise ModelError(
                f"the file's function {operator[1][:100]!r} calls itself", reason="MODEL_INVALID"
            )
        if len(callers) >= self._limits.max_depth:
            raise ModelError(
                f"the file has more than {self._limits.max_depth} functions that call each other",
                reason="MODEL_TOO_LARGE",
            )
        if operator not in self._known:
            body = self._outline.functions[operator]
            # A function without nodes counts as one: a call of it costs time, too.
            self._known[operator] = max(1, self._expanded(body, (*callers, operator)))
        return self._known[operator]
