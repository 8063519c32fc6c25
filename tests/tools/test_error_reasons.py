"""The page of all reasons of errors is made from the code."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

from spyglass_contract.status_codes import ERROR_DOMAIN

SOURCE = """
from spyglass_contract import errors
from spyglass_contract.errors import InvalidInput, ModelError, Overloaded

OWN = "NAMED_BY_A_CONSTANT"

def fail(value, error):
    raise InvalidInput(f"must be {value:d} | more", reason="PLAIN", field="size")
    raise errors.InvalidInput("as text", reason=OWN if value else "ELSE", field="image")
    raise Overloaded("the default reason")
    raise ModelError("never sent", reason="FILE_BROKEN")
    raise InvalidInput("again", reason=error.reason)
"""


@pytest.fixture
def tool(repository_root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(repository_root)
    spec = spec_from_file_location("error_reasons", repository_root / "tools/error_reasons.py")
    assert spec and spec.loader
    module = module_from_spec(spec)
    # Its data classes look their module up.
    monkeypatch.setitem(sys.modules, "error_reasons", module)
    spec.loader.exec_module(module)
    return module


def test_the_committed_page_is_fresh(repository_root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "tools/error_reasons.py", "--check"],
        cwd=repository_root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "docs/errors.md is fresh\n")


@pytest.mark.slow
def test_a_stale_page_is_reported(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tool, "PAGE", tmp_path / "errors.md")
    assert tool.main(["--check"]) == 1
    assert "stale" in capsys.readouterr().out
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0


def test_every_way_to_state_a_reason_is_found(tool: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(SOURCE)
    found = tool.reasons((str(tmp_path),))
    assert set(found) == {
        ("INVALID_ARGUMENT", "PLAIN"),
        ("INVALID_ARGUMENT", "NAMED_BY_A_CONSTANT"),
        ("INVALID_ARGUMENT", "ELSE"),
        ("RESOURCE_EXHAUSTED", "QUEUE_FULL"),
    }
    plain = found["INVALID_ARGUMENT", "PLAIN"]
    assert (plain.messages, plain.fields) == ({"must be … | more"}, {"size"})


def test_the_page_names_the_domain_and_reasons_of_every_part(tool: ModuleType) -> None:
    page = tool.page()
    assert ERROR_DOMAIN in page
    for reason in ("IMAGE_TOO_MANY_BYTES", "QUEUE_FULL", "MAP_TOO_LARGE", "VERSION_NOT_FOUND", "UNREACHABLE"):
        assert f"| `{reason}` |" in page
    assert "CERTIFICATE_FAILED" not in page
