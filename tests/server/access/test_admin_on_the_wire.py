"""The scope of `spyglass.v1.Admin`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

from spyglass.v1 import admin_pb2
from spyglass.v1.admin_pb2_grpc import AdminStub


def test_admin_needs_its_scope(
    run_server: Callable[..., Any], token_file: Any, refused: Callable[..., Any]
) -> None:
    caller, operator = token_file.issue("caller"), token_file.issue("operator", "admin")
    admin = AdminStub(run_server(admin=True, tokens=token_file.path).channel)

    def reload(token: str) -> Any:
        metadata = [("authorization", f"Bearer {token}")] if token else []
        return admin.Reload(admin_pb2.ReloadRequest(), metadata=metadata)

    assert refused(lambda: reload("")).code == grpc.StatusCode.UNAUTHENTICATED
    assert refused(lambda: reload(caller)).reason == "SCOPE_MISSING"
    assert [status.version for status in reload(operator).versions] == [1]
