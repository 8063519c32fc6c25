"""Failures as lines for people."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spyglass_cli import main as spyglass
from spyglass_cli.output.failures import Failures
from spyglass_contract.errors import DeadlineExceeded, ImageError, LimitExceeded, Unavailable

Run = Callable[..., Any]


def test_an_error_of_the_server_has_one_line_and_each_error_of_an_image_has_its_own() -> None:
    failures = Failures()
    failures.add("a.jpg", Unavailable("no server"))
    failures.add("b.jpg", ImageError("not an image"))
    failures.add("c.jpg", Unavailable("no server"))
    failures.add("d.jpg", ImageError("not an image"))
    failures.add("e.jpg", Unavailable("no server"))
    failures.add("f.jpg", DeadlineExceeded("too late"))
    failures.add("g.jpg", DeadlineExceeded("too late"))
    assert failures.lines() == [
        "a.jpg and 2 more images: no server",
        "b.jpg: not an image",
        "d.jpg: not an image",
        "f.jpg: too late",
        "g.jpg: too late",
    ]


def test_if_all_images_failed_each_error_of_an_image_still_has_its_own_line() -> None:
    failures = Failures()
    for path in ("a.jpg", "b.jpg"):
        failures.add(path, DeadlineExceeded("too late"))
        failures.add(path, LimitExceeded("too large"))
    assert failures.lines(all_failed=True) == [
        "a.jpg and 1 more image: too late",
        "a.jpg: too large",
        "b.jpg: too large",
    ]


@pytest.mark.parametrize(
    "command",
    [
        ["classify-image"],
        ["explain", "--class", "2"],
        pytest.param(["explain"], marks=pytest.mark.slow),
        pytest.param(["segment"], marks=pytest.mark.slow),
    ],
)
def test_an_unreachable_server_is_reported_once_and_json_has_each_image(
    command: list[str], classify: Run, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*more: str) -> tuple[int, str, str]:
        arguments = ["images", *command[1:], "--server", "127.0.0.1:1", "--timeout", "0.3", *more]
        if command[0] == "classify-image":
            done = classify(*arguments)
            return done.code, done.output, done.errors
        code = spyglass.main([command[0], *arguments])
        return (code, *capsys.readouterr())

    Path("images/broken.jpg").unlink()
    code, output, errors = run()
    assert (code, output) == (1, "")
    assert errors.startswith("images/red.png and 1 more image: ")
    assert errors.count("\n") == 1
    code, output, errors = run("--format", "json")
    assert (code, errors) == (1, "")
    codes = [row["error"]["code"] for row in json.loads(output)]
    assert len(codes) == 2 and set(codes) <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
