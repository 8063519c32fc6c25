"""The folder of the bundled models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from spyglass_contract.errors import ModelError
from spyglass_server.engine.models.bundled import bundled_models


@pytest.fixture
def no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave no other folder with packages: the environment of the tests has the models, too."""
    monkeypatch.setattr(sys, "path", [])


OTHER_PROJECT = '[project]\nname = "myservice"\nversion = "0"\n'
CHECKOUT = '[project]\nname = "spyglass"\n'


def lay_out(folder: Path, pyproject: str, *models: str) -> Path:
    """Make a project whose folder `libs` holds the package; return that folder."""
    (folder / "pyproject.toml").write_text(pyproject)
    (folder / "libs/spyglass_server/engine").mkdir(parents=True)
    for name in models:
        (folder / name).mkdir()
    return folder / "libs"


def test_a_checkout_has_the_models_in_its_own_folder(repository_root: Path) -> None:
    assert bundled_models() == repository_root / "models"


def test_an_installation_in_another_project_has_the_models_beside_the_package(tmp_path: Path) -> None:
    libs = lay_out(tmp_path, OTHER_PROJECT, "libs/spyglass_models", "models")
    assert bundled_models(libs) == libs / "spyglass_models"


@pytest.mark.usefixtures("no_path")
@pytest.mark.parametrize("pyproject", [OTHER_PROJECT, "", "name =", "[project]\n", 'project = "spyglass"\n'])
def test_the_models_of_another_project_are_never_used(tmp_path: Path, pyproject: str) -> None:
    libs = lay_out(tmp_path, pyproject, "models")
    with pytest.raises(ModelError, match="no bundled models"):
        bundled_models(libs)


@pytest.mark.usefixtures("no_path")
def test_a_checkout_without_the_models_finds_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no bundled models"):
        bundled_models(lay_out(tmp_path, CHECKOUT))


def test_a_checkout_is_recognised_by_its_project_file(tmp_path: Path) -> None:
    assert bundled_models(lay_out(tmp_path, CHECKOUT, "models")) == tmp_path / "models"


def test_a_package_elsewhere_on_the_path_may_hold_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    libs = lay_out(tmp_path, OTHER_PROJECT)
    (tmp_path / "more/spyglass_models").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "more")])
    assert bundled_models(libs) == tmp_path / "more/spyglass_models"
