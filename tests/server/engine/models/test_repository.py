"""The repository finds a model by name and version, and reads the folder of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from spyglass.v1.model_pb2 import TASK_CLASSIFY, TASK_SEGMENT, TASK_UNSPECIFIED, ModelCard, ModelRef
from spyglass_contract.errors import (
    CardError,
    CertificateError,
    FailedPrecondition,
    InvalidInput,
    ModelError,
    NotFound,
)
from spyglass_server.engine.models.lifecycle.loading import load_model
from spyglass_server.engine.models.lifecycle.policy import ALL
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.model_files import model_files
from spyglass_server.engine.models.repository import Repository, check_served, listed_names

Load = Callable[..., Model]


class Network:
    """A network that needs no file."""

    provider = "CPUExecutionProvider"

    def __init__(self, card: ModelCard, run: Callable[..., object]) -> None:
        self.card = card
        self.run = run


@pytest.fixture
def repository() -> Iterator[Repository]:
    opened = Repository(default_models=("second", "third"))
    yield opened
    opened.close()


@pytest.fixture
def load(
    repository: Repository, make_card: Callable[..., ModelCard], classify_colors: Callable[..., object]
) -> Load:
    """Load a model of the colours: `load(name, version=1, task=TASK_CLASSIFY)`."""

    def open_as(name: str, version: int = 1, task: int = TASK_CLASSIFY) -> Model:
        card = make_card(name, version)
        card.task = task
        model = load_model(
            Path(name) / str(version) / "model.onnx",
            lambda path: Model(Network(card, classify_colors), "ab" * 32, Resources()),
        )
        repository.add(model)
        return model

    return open_as


def test_a_model_is_found_by_its_name(repository: Repository, load: Load) -> None:
    model = load("first")

    assert repository.find(ModelRef(name="first")) is model


def test_without_a_version_the_highest_is_used(repository: Repository, load: Load) -> None:
    load("first", 2)
    newest = load("first", 10)
    load("first", 9)

    assert repository.find(ModelRef(name="first")) is newest


def test_a_version_is_found_by_its_number(repository: Repository, load: Load) -> None:
    old, _ = load("first", 1), load("first", 2)

    assert repository.find(ModelRef(name="first", version=1)) is old


@pytest.mark.parametrize(
    ("selector", "reason", "field", "message"),
    [
        (ModelRef(name="other"), "MODEL_NOT_FOUND", "model.name", "no model 'other'; it serves first$"),
        (ModelRef(name="first", version=7), "VERSION_NOT_FOUND", "model.version", "served: 1, 2"),
        (ModelRef(name="first", version=0), "VERSION_NOT_FOUND", "model.version", "no version 0"),
        (ModelRef(name="first", label="stable"), "LABEL_NOT_FOUND", "model.label", "'stable'"),
    ],
)
def test_a_model_that_is_not_served_is_not_found(
    repository: Repository, load: Load, selector: ModelRef, reason: str, field: str, message: str
) -> None:
    load("first", 1)
    load("first", 2)

    with pytest.raises(NotFound, match=message) as raised:
        repository.find(selector)

    assert (raised.value.reason, raised.value.field) == (reason, field)


@pytest.mark.parametrize("rest", [{"version": 1}, {"label": "stable"}])
def test_a_version_or_label_needs_a_name(repository: Repository, load: Load, rest: dict[str, object]) -> None:
    load("first")

    for look_up in (repository.find, lambda ref: repository.resolve(ref, TASK_CLASSIFY)):
        with pytest.raises(InvalidInput, match="needs the model's name") as raised:
            look_up(ModelRef(**rest))
        assert raised.value.reason == "MODEL_NAME_MISSING"


def test_an_empty_reference_finds_the_default_model_of_the_task(repository: Repository, load: Load) -> None:
    first, mask = load("first"), load("mask", task=TASK_SEGMENT)

    assert repository.find_of_task(ModelRef(), TASK_CLASSIFY) is first
    assert repository.find_of_task(ModelRef(), TASK_SEGMENT) is mask


def test_an_empty_reference_without_a_task_finds_the_only_default_model(
    repository: Repository, load: Load
) -> None:
    with pytest.raises(NotFound, match="no default model") as refused:
        repository.find_of_task(ModelRef(), TASK_UNSPECIFIED)
    assert refused.value.reason == "NO_DEFAULT_MODEL"

    only = load("first")
    assert repository.find_of_task(ModelRef(), TASK_UNSPECIFIED) is only

    load("mask", task=TASK_SEGMENT)
    with pytest.raises(InvalidInput, match="first to classify and mask to segment") as refused:
        repository.find_of_task(ModelRef(), TASK_UNSPECIFIED)
    assert refused.value.reason == "MODEL_NAME_MISSING"


def test_a_named_model_must_have_the_task_of_the_request(repository: Repository, load: Load) -> None:
    mask, ref = load("mask", task=TASK_SEGMENT), ModelRef(name="mask")

    assert repository.find_of_task(ref, TASK_UNSPECIFIED) is mask
    assert repository.find_of_task(ref, TASK_SEGMENT) is mask
    with pytest.raises(FailedPrecondition, match="does not classify"):
        repository.find_of_task(ref, TASK_CLASSIFY)


def test_an_unknown_task_is_rejected(repository: Repository, load: Load) -> None:
    load("first")

    with pytest.raises(InvalidInput, match="no task 9") as refused:
        repository.find_of_task(ModelRef(), 9)  # type: ignore[arg-type]
    assert (refused.value.reason, refused.value.field) == ("TASK_UNKNOWN", "task")


def test_the_only_model_of_a_task_is_its_default(repository: Repository, load: Load) -> None:
    only = load("first")
    load("mask", task=TASK_SEGMENT)

    assert repository.resolve(ModelRef(), TASK_CLASSIFY) is only


def test_the_first_served_model_of_the_default_names_is_the_default(
    repository: Repository, load: Load
) -> None:
    load("first")
    third = load("third")
    assert repository.resolve(ModelRef(), TASK_CLASSIFY) is third

    second = load("second", 3)
    assert repository.resolve(ModelRef(), TASK_CLASSIFY) is second


def test_a_default_name_of_another_task_is_skipped(repository: Repository, load: Load) -> None:
    load("second", task=TASK_SEGMENT)
    third = load("third")
    load("fourth")

    assert repository.resolve(ModelRef(), TASK_CLASSIFY) is third


def test_among_several_models_there_is_no_default_without_a_default_name(
    repository: Repository, load: Load
) -> None:
    load("first")
    load("fourth")

    with pytest.raises(NotFound, match="no default model to classify with") as raised:
        repository.resolve(ModelRef(), TASK_CLASSIFY)

    assert raised.value.reason == "NO_DEFAULT_MODEL"


def test_a_model_for_another_task_is_refused(repository: Repository, load: Load) -> None:
    load("mask", task=TASK_SEGMENT)

    with pytest.raises(
        FailedPrecondition, match="mask does not classify: it is a segmentation model"
    ) as raised:
        repository.resolve(ModelRef(name="mask"), TASK_CLASSIFY)

    assert raised.value.reason == "MODEL_TASK_MISMATCH"


def test_models_are_sorted_by_name_and_version(repository: Repository, load: Load) -> None:
    for name, version in (("b", 1), ("a", 10), ("a", 9)):
        load(name, version)

    assert [(model.card.name, model.card.version) for model in repository] == [("a", 9), ("a", 10), ("b", 1)]


def test_a_file_in_the_folder_of_another_model_is_refused(
    make_card: Callable[..., ModelCard], classify_colors: Callable[..., object]
) -> None:
    def open_model(path: Path) -> Model:
        return Model(Network(make_card("colors", 2), classify_colors), "ab" * 32, Resources())

    for place in ("colors/1", "colours/2"):
        with pytest.raises(CardError, match=f"^{place}: the card in the file is of colors/2"):
            load_model(Path(place) / "model.onnx", open_model)


def test_an_error_about_a_file_names_the_file() -> None:
    def open_model(path: Path) -> Model:
        raise CertificateError("the outputs differ")

    with pytest.raises(CertificateError, match=r"^colors/3: the outputs differ$"):
        load_model(Path("models/colors/3/model.onnx"), open_model)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place in ("b/1", "a/2", "a/10", "a/draft", "c"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "model.onnx").touch()
    (tmp_path / "d/1").mkdir(parents=True)
    return tmp_path


def test_the_highest_version_of_each_model_is_taken(folder: Path) -> None:
    assert [str(path.parent.relative_to(folder)) for path in model_files(folder)] == ["a/10", "b/1"]


def test_all_versions_are_taken_if_the_setting_says_so(folder: Path) -> None:
    found = [str(path.parent.relative_to(folder)) for path in model_files(folder, ALL)]

    assert found == ["a/2", "a/10", "b/1"]


def test_a_version_that_is_not_a_number_is_skipped_with_a_warning(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model_files(folder)

    assert "a/draft/model.onnx is ignored" in caplog.text


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not a folder of models"):
        model_files(tmp_path / "nowhere")


def test_a_folder_without_models_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has no file NAME/VERSION/model\.onnx"):
        model_files(tmp_path)


@pytest.mark.parametrize("place", ["theirs.onnx", "theirs/theirs.onnx", "theirs/1/theirs.onnx"])
def test_the_error_of_a_raw_onnx_file_names_the_command_that_adopts_it(place: str, tmp_path: Path) -> None:
    file = tmp_path / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"a network")
    for given in (tmp_path, file):
        with pytest.raises(ModelError) as caught:
            model_files(given)
        assert f"`spyglass adopt {file}` makes a model" in caught.value.message


def write(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def test_several_folders_are_merged_and_two_files_of_one_version_are_rejected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write("x/a/1/model.onnx", "y/a/2/model.onnx", "y/b/1/model.onnx")
    x, y = Path("x"), Path("y")
    assert model_files([x, y]) == [y / "a/2/model.onnx", y / "b/1/model.onnx"]
    assert len(model_files([x, y], ALL)) == 3
    # One folder under two names.
    assert len(model_files([x, tmp_path / "x"])) == 1
    write("y/a/1/model.onnx")
    with pytest.raises(ModelError, match="have the same name and version"):
        model_files([x, y])
    with pytest.raises(ModelError, match="nowhere is not a folder"):
        model_files([x, Path("nowhere")])


def test_hidden_folders_are_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("x/a/1/model.onnx", "x/.a/1/model.onnx", "x/__MACOSX/1/model.onnx", "x/a/._2/model.onnx")
    assert model_files(Path("x"), ALL) == [Path("x/a/1/model.onnx")]


def test_a_missing_default_model_is_an_error_that_lists_the_models() -> None:
    names = ["pets", "digits", "cells"]
    check_served(["pets", "cells"], names)
    with pytest.raises(ModelError, match=r"'nope' is not among the models: cells, digits, pets$"):
        check_served(["pets", "nope"], names)


def test_a_list_of_names_in_an_error_is_bounded() -> None:
    names = [f"model-{number}" for number in range(5000)]
    assert listed_names(names).endswith("model-9 and 4990 more")
    assert listed_names([]) == "no model"
