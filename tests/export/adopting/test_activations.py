"""The activation of a classifier from elsewhere: shown by its graph, assumed with a line, or chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Array = np.ndarray[Any, Any]


def sigmoid(logits: Array) -> Array:
    return 1 / (1 + np.exp(-logits))


def scaled(pixels: Array) -> Array:
    return pixels.transpose(0, 3, 1, 2) / 255


def test_a_softmax_that_the_graph_does_not_ask_for_is_announced_and_written_down(
    classifier: Any,
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx")
    assert attach(file, "--scale", "1/255", "--description", "Cats and others.") == 0
    printed = capsys.readouterr().out
    assert "a softmax was added" in printed and "--activation sigmoid" in printed
    assert adopted()[0].description == "Cats and others. `spyglass adopt` added the softmax of its scores."


@pytest.mark.parametrize(
    ("ending", "flags"),
    [
        ("Softmax", ()),
        ("Sigmoid", ()),
        ("Softmax", ("--activation", "softmax")),
        ("Sigmoid", ("--activation", "sigmoid")),
        ("Sigmoid", ("--activation", "none")),
    ],
)
def test_a_graph_with_its_own_activation_gets_no_other(
    classifier: Any,
    ending: str,
    flags: tuple[str, ...],
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = classifier()
    assert attach(theirs.write(tmp_path / "theirs.onnx", ending=ending), "--scale", "1/255", *flags) == 0
    card, pixels, found = adopted()
    assert "added" not in capsys.readouterr().out and card.description == ""
    logits = theirs.logits(scaled(pixels))
    expected = (
        sigmoid(logits) if ending == "Sigmoid" else np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_independent_labels_keep_their_own_probabilities_and_heatmaps(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    file = theirs.write(tmp_path / "theirs.onnx")
    assert attach(file, "--scale", "1/255", "--activation", "sigmoid") == 0
    card, pixels, found, heatmaps = written()
    np.testing.assert_allclose(found, sigmoid(theirs.logits(scaled(pixels))), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(scaled(pixels), 1), atol=1e-4)
    assert card.explained_score == "logit" and "added the sigmoid" in card.description


def test_golden_images_with_several_certain_labels_cause_a_hint(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = classifier()
    theirs.weight = np.abs(theirs.weight) * [[1, 1, -1]] / 4
    theirs.weight = theirs.weight.astype(np.float32)
    file = theirs.write(tmp_path / "theirs.onnx")
    assert attach(file) == 0
    hint = next(line for line in capsys.readouterr().err.splitlines() if "certain" in line)
    assert "gradient.png, spot.jpg" in hint and "--activation sigmoid" in hint
    assert attach(file, "--activation", "softmax", "--force") == 0
    assert "certain" not in capsys.readouterr().err
    assert attach(file, "--activation", "sigmoid", "--force") == 0
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "gradient.png" in line)
    assert "cat" in line and "dog" in line and "bird" not in line


def test_scores_that_are_probabilities_by_declaration_stay_as_they_are(
    classifier: Any, attach: Callable[..., int], adopted: Callable[[], Any], tmp_path: Path
) -> None:
    """A plain product whose results are in [0, 1]: no graph shows that."""
    theirs = classifier()
    theirs.weight = np.abs(theirs.weight) / 100
    file = theirs.write(tmp_path / "theirs.onnx")
    assert attach(file, "--scale", "1/255", "--activation", "none") == 0
    _, pixels, found = adopted()
    np.testing.assert_allclose(found, theirs.logits(scaled(pixels)), atol=1e-6)


CLASHES: dict[str, tuple[dict[str, Any], str, str]] = {
    "sigmoid of a softmax": ({"ending": "Softmax"}, "sigmoid", "already holds probabilities of a softmax"),
    "softmax of a sigmoid": ({"ending": "Sigmoid"}, "softmax", "already holds probabilities of a sigmoid"),
    "sigmoid of logarithms": ({"ending": "LogSoftmax"}, "sigmoid", "holds the logarithms of a softmax"),
    "none of logits": (
        {},
        "none",
        "needs an output of probabilities, from 0 to 1; 'y' holds",
    ),
}


@pytest.mark.parametrize("clash", CLASHES)
def test_an_activation_that_does_not_fit_the_graph_is_rejected(
    classifier: Any,
    clash: str,
    attach: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options, choice, message = CLASHES[clash]
    file = classifier().write(tmp_path / "theirs.onnx", **options)
    assert attach(file, "--scale", "1/255", "--activation", choice) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "models").exists()


def test_a_softmax_of_a_single_score_is_rejected(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = classifier(columns=1).write(tmp_path / "theirs.onnx")
    assert attach(file, "--activation", "softmax", classes="sound\nbroken") == 2
    assert "the softmax of a single number is always 1" in capsys.readouterr().err
