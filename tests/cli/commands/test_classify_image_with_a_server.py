"""`classify-image --server`, against a real server."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spyglass_client import Classification, Client, ImageError, read_image

Classify = Callable[..., Any]


def test_a_table_names_the_classes_best_first(classify: Classify, server: str, folder: Path) -> None:
    done = classify("images/red.png", "--server", server)
    lines = [line.split() for line in done.output.splitlines() if line.strip()]
    assert done.code == 0
    assert done.errors == ""
    assert lines[0] == ["image", "class", "score"]
    assert lines[2][:2] == ["images/red.png", "red"]
    assert sorted(line[-2] for line in lines[2:5]) == ["blue", "green", "red"]
    assert "colors:1" in done.output


def test_json_is_an_array_of_the_results_of_the_api(classify: Classify, server: str, folder: Path) -> None:
    done = classify("images/red.png", "--format", "json", "--top-k", "1", "--server", server)
    (result,) = json.loads(done.output)
    assert result["path"] == "images/red.png"
    assert result["model"] == {"name": "colors", "version": 1, "precision": "fp32"}
    assert result["classes"] == [{"index": 0, "name": "red", "score": pytest.approx(1.0, abs=1e-4)}]
    assert set(result["timing_ms"]) == {"decode", "queue", "inference", "encode"}


def test_json_of_several_images_is_an_array_in_order(classify: Classify, server: str, folder: Path) -> None:
    done = classify("images/more/blue.png", "images/red.png", "--format", "json", "--server", server)
    assert [result["classes"][0]["name"] for result in json.loads(done.output)] == ["blue", "red"]


def test_json_lines_are_objects_in_order(classify: Classify, server: str, folder: Path) -> None:
    done = classify("images", "--format", "jsonl", "--server", server)
    results = [json.loads(line) for line in done.output.splitlines()]
    assert [result["path"] for result in results] == [
        "images/broken.jpg",
        "images/red.png",
        "images/more/blue.png",
    ]
    assert results[0]["error"]["code"] == "INVALID_ARGUMENT"
    assert results[0]["error"]["reason"] == "IMAGE_CORRUPT"
    assert done.code == 1


def test_csv_has_a_row_for_each_class_and_each_failure(classify: Classify, server: str, folder: Path) -> None:
    done = classify("images", "--format", "csv", "--top-k", "2", "--server", server)
    rows = list(csv.DictReader(io.StringIO(done.output)))
    assert [(row["path"], row["rank"]) for row in rows] == [
        ("images/broken.jpg", ""),
        ("images/red.png", "1"),
        ("images/red.png", "2"),
        ("images/more/blue.png", "1"),
        ("images/more/blue.png", "2"),
    ]
    assert rows[0]["error"].startswith("IMAGE_CORRUPT: ")
    assert (rows[1]["class"], rows[1]["model"], rows[1]["version"]) == ("red", "colors", "1")


def test_a_failure_has_its_own_line_and_the_other_images_are_classified(
    classify: Classify, server: str, folder: Path
) -> None:
    done = classify("images", "missing.jpg", "*.gif", "--server", server)
    assert done.code == 1
    assert "red" in done.output
    assert "blue" in done.output
    assert [line.partition(":")[0] for line in done.errors.splitlines()] == [
        "images/broken.jpg",
        "missing.jpg",
        "*.gif",
    ]


@pytest.mark.parametrize("format_name", ["table", "json", "jsonl", "csv"])
def test_every_format_can_hold_only_failures(
    classify: Classify, server: str, folder: Path, format_name: str
) -> None:
    done = classify("missing.jpg", "--format", format_name, "--server", server)
    assert done.code == 1
    assert "No such file" in done.output + done.errors
    assert "Traceback" not in done.errors


def test_an_image_comes_from_standard_input(
    classify: Classify, server: str, tmp_path: Path, color_image: Callable[..., bytes]
) -> None:
    (tmp_path / "green").write_bytes(color_image("green"))
    before = os.dup(0)
    with (tmp_path / "green").open("rb") as file:
        os.dup2(file.fileno(), 0)
        try:
            done = classify("-", "--format", "json", "--server", server)
        finally:
            os.dup2(before, 0)
            os.close(before)
    (result,) = json.loads(done.output)
    assert result["path"] == "-"
    assert result["classes"][0]["name"] == "green"


def test_more_images_than_the_window_holds_are_all_classified(
    classify: Classify, server: str, tmp_path: Path, color_image: Callable[..., bytes]
) -> None:
    colors = ["red", "green", "blue"] * 20
    for number, color in enumerate(colors):
        (tmp_path / f"{number:03}.png").write_bytes(color_image(color))
    done = classify(str(tmp_path), "--format", "csv", "--top-k", "1", "--server", server)
    assert [row["class"] for row in csv.DictReader(io.StringIO(done.output))] == colors
    assert done.code == 0


def test_the_command_and_the_library_have_the_same_results(
    classify: Classify, server: str, folder: Path
) -> None:
    done = classify("images/red.png", "--format", "json", "--server", server)
    with Client(server) as client:
        result = client.classify("images/red.png").to_dict()
    (printed,) = json.loads(done.output)
    assert printed["classes"] == result["classes"]


@pytest.mark.parametrize("model", ["colors", "colors:1"])
def test_a_model_is_chosen_by_name_and_version(
    classify: Classify, server: str, folder: Path, model: str
) -> None:
    assert classify("images/red.png", "--model", model, "--server", server).code == 0


@pytest.mark.parametrize(
    ("model", "reason"),
    [("shapes", "MODEL_NOT_FOUND"), ("colors:7", "VERSION_NOT_FOUND"), ("colors@best", "LABEL_NOT_FOUND")],
)
def test_a_model_that_is_not_served_fails_each_image(
    classify: Classify, server: str, folder: Path, model: str, reason: str
) -> None:
    done = classify("images/red.png", "--model", model, "--format", "json", "--server", server)
    assert done.code == 1
    assert json.loads(done.output)[0]["error"]["reason"] == reason


def test_the_environment_names_the_server(
    classify: Classify, server: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPYGLASS_SERVER", server)
    done = classify("images/red.png")
    assert done.code == 0
    assert done.errors == ""


def test_an_unreachable_server_fails_every_image(classify: Classify, folder: Path) -> None:
    done = classify("images", "*.gif", "--format", "jsonl", "--server", "127.0.0.1:1", "--timeout", "0.5")
    reasons = [json.loads(line)["error"]["reason"] for line in done.output.splitlines()]
    assert reasons == ["UNREACHABLE"] * 3 + ["IMAGE_NOT_FOUND"]
    assert done.code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("a.png", "--format", "xml"),
        ("a.png", "--top-k", "0"),
        ("a.png", "--top-k", "many"),
        ("a.png", "--timeout", "-1"),
        ("a.png", "--timeout", "nan"),
        ("a.png", "--server", "nowhere:port"),
        ("a.png", "--token-file", "token"),
        ("a.png", "--ca", "ca.pem"),
        ("a.png", "--model", "a:b:c", "--server", "127.0.0.1:1"),
        ("a.png", "--token-file", "missing", "--server", "127.0.0.1:1"),
        ("a.png", "b.png", "--heatmap", "both.png"),
        ("a.png", "--heatmap", __file__),
    ],
)
def test_invalid_usage_ends_with_2_and_an_error(classify: Classify, arguments: tuple[str, ...]) -> None:
    done = classify(*arguments)
    assert done.code == 2
    assert "classify-image: " in done.errors
    assert "Traceback" not in done.errors


def test_an_invalid_address_in_the_environment_ends_with_2(
    classify: Classify, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPYGLASS_SERVER", "nowhere:port")
    done = classify("a.png")
    assert done.code == 2
    assert "HOST:PORT" in done.errors


def test_the_library_classifies_streams_and_raises_errors_of_the_real_server(
    server: str, folder: Path
) -> None:
    red = read_image("images/red.png")
    with Client(server) as client:
        results = list(client.classify_many([red, b"", red, "images/broken.jpg"] * 10, top_k=1))
        with pytest.raises(ImageError) as caught:
            client.classify(b"text")
    assert [isinstance(result, Classification) for result in results] == [True, False, True, False] * 10
    assert caught.value.reason == "IMAGE_UNRECOGNISED"
    assert caught.value.request_id
