"""Versions come, change and go while others serve."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lifecycle_site import Network, Site
from spyglass.v1.model_pb2 import TASK_CLASSIFY, ModelRef
from spyglass_contract.errors import CertificateError, ModelError
from spyglass_server.engine.models.lifecycle import loading
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.stores.folder import FolderStore


def test_a_new_version_replaces_the_old_one(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2)

    site.refresh()

    assert (site.served(), site.served("1")) == (2, 0)


def test_the_old_version_serves_while_the_new_one_loads(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2)
    site.hold_loads()

    site.lifecycle.refresh()

    assert site.begun.wait(10)
    assert (site.served(), site.served("2"), site.states()) == (1, 0, {1: "SERVING", 2: "LOADING"})
    site.gate.set()
    assert site.lifecycle.settled(10)
    assert site.served() == 2


def test_a_request_keeps_the_model_that_it_found_and_then_the_model_ends(site: Site) -> None:
    site.write(1)
    site.start()
    found = site.repository.resolve(ModelRef(name="colors"), TASK_CLASSIFY)
    site.write(2)
    site.refresh()

    site.lifecycle.tick()
    assert site.states() == {1: "DRAINING", 2: "SERVING"}

    assert found.card.version == 1
    del found
    site.lifecycle.tick()
    assert site.states() == {2: "SERVING"}


def test_a_refused_version_leaves_the_old_one_and_says_why(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2, "bad")

    site.refresh()

    _, failed = site.lifecycle.statuses()
    assert (site.served(), failed.state.name, failed.reason) == (1, "FAILED", "CERTIFICATE_FAILED")
    assert failed.message == "colors/2: colors/2/model.onnx: the outputs differ: bad"


def test_a_refused_version_is_tried_again_only_if_its_files_change(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2, "bad")
    site.refresh()
    tried = len(site.reports)

    site.refresh()
    assert len(site.reports) == tried
    site.write(2, "worse")
    site.refresh()
    assert "worse" in site.lifecycle.statuses()[1].message
    site.write(2)
    site.refresh()

    assert (site.served(), site.states().get(2)) == (2, "SERVING")


def test_a_changed_file_of_the_same_version_replaces_the_model(site: Site) -> None:
    site.write(1)
    site.start()
    before = site.repository.resolve(ModelRef(name="colors"), TASK_CLASSIFY)
    (site.folder / "colors/1/model.int8.onnx").write_text("beside it")

    site.refresh()

    assert site.repository.resolve(ModelRef(name="colors"), TASK_CLASSIFY) is not before


def test_a_bad_change_of_the_file_that_serves_changes_nothing_but_the_status(site: Site) -> None:
    site.write(1)
    site.start()
    before = site.repository.resolve(ModelRef(name="colors"), TASK_CLASSIFY)
    site.write(1, "half")

    site.refresh()
    site.refresh()

    (status,) = site.lifecycle.statuses()
    assert site.repository.resolve(ModelRef(name="colors"), TASK_CLASSIFY) is before
    assert (status.state.name, status.reason) == ("SERVING", "CERTIFICATE_FAILED")


def test_a_deleted_model_ends(site: Site) -> None:
    site.write(1)
    site.write(1, name="shapes")
    site.start()
    shutil.rmtree(site.folder / "colors")

    site.refresh()

    assert (site.served(), site.served(name="shapes")) == (0, 1)
    assert site.repository.names() == ["shapes"]


def test_a_version_that_is_deleted_while_it_loads_never_serves(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2)
    site.hold_loads()
    site.lifecycle.refresh()
    assert site.begun.wait(10)
    shutil.rmtree(site.folder / "colors/2")
    site.lifecycle.refresh()

    site.gate.set()
    assert site.lifecycle.settled(10)

    assert (site.served(), site.served("2"), site.states()) == (1, 0, {1: "SERVING"})


def test_files_that_cannot_be_read_are_refused_without_a_stack_trace_or_a_path(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.write(1)
    site.start()
    site.write(2)
    site.hold_loads()
    loading = site.lifecycle.load("colors", 2)
    assert site.begun.wait(10)
    shutil.rmtree(site.folder / "colors/2")
    site.gate.set()

    with pytest.raises(ModelError) as caught:
        loading.result(10)

    assert caught.value.reason == "FILE_UNREADABLE"
    assert caught.value.message == "colors/2: its files cannot be read: No such file or directory"
    assert not any(record.exc_info for record in caplog.records)


def test_a_version_that_changes_while_it_loads_is_loaded_again(site: Site) -> None:
    site.write(1)
    site.start()
    site.write(2)
    site.hold_loads()
    site.lifecycle.refresh()
    assert site.begun.wait(10)
    (site.folder / "colors/2/model.int8.onnx").write_text("copied a moment later")
    site.lifecycle.refresh()

    site.gate.set()
    assert site.lifecycle.settled(10)

    assert (site.served(), site.states()[2]) == (2, "SERVING")
    assert [report.state.name for report in site.reports if report.version == 2].count("LOADING") == 2


def test_a_folder_that_cannot_be_read_changes_nothing(site: Site) -> None:
    site.write(1)
    site.start()
    shutil.move(site.folder, site.folder.with_name("moved"))

    with pytest.raises(ModelError, match=r"^the folder of models cannot be read: No such file"):
        site.lifecycle.refresh()

    assert site.served() == 1


def test_several_newest_versions_serve_beside_each_other(site: Site) -> None:
    for version in (1, 2, 3):
        site.write(version)
    site.start("latest:2")
    assert [site.served(selector) for selector in ("", "1", "2", "3")] == [3, 0, 2, 3]
    site.write(4)

    site.refresh()

    assert [site.served(selector) for selector in ("", "2", "3", "4")] == [4, 0, 3, 4]


def test_listed_versions_serve_and_others_do_not(site: Site) -> None:
    for version in (1, 2, 3):
        site.write(version)
        site.write(version, name="shapes")
    site.start("latest", "colors:1", "colors:2")

    assert [site.served(selector) for selector in ("", "1", "2", "3")] == [2, 1, 2, 0]
    assert site.served(name="shapes") == 3


def test_a_version_for_which_the_memory_does_not_suffice_is_refused(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.write(1)
    site.start()
    monkeypatch.setattr(loading.check_memory, "__defaults__", (lambda: 5,))
    site.write(2)

    site.refresh()

    failed = site.lifecycle.statuses()[1]
    assert (site.served(), failed.reason) == (1, "MEMORY_SHORT")
    assert failed.message.endswith("it takes about 6 bytes, and 5 are free")


@pytest.mark.parametrize(
    ("method", "warmed"), [("gradcam", "explain"), ("scorecam", "features"), ("", "run")]
)
def test_a_model_is_warmed_up_before_it_serves(
    make_card: Callable[..., Any], classify_colors: Callable[..., Any], method: str, warmed: str
) -> None:
    card = make_card()
    card.explained_layer, card.heatmap_method = "last" if method else "", method
    model = Model(Network(card, classify_colors), "ab" * 32, Resources())
    calls: list[str] = []
    for name in ("run", "explain", "features"):
        setattr(model.network, name, lambda *arguments, name=name: calls.append(name))

    loading.warm_up(model)

    assert calls == (["run", warmed] if method else ["run"])


def test_a_start_with_a_bad_model_fails(site: Site) -> None:
    site.write(1)
    site.write(2, "bad")
    with pytest.raises(CertificateError, match="colors/2"):
        site.start()


def test_a_lower_version_stands_in_if_models_may_change(site: Site) -> None:
    site.write(1)
    site.write(2, "bad")
    site.start(strict=False)

    assert (site.served(), site.states()) == (1, {1: "SERVING", 2: "FAILED"})


def test_a_model_without_a_version_that_loads_ends_the_start_in_any_case(site: Site) -> None:
    site.write(1, "bad")
    site.write(1, name="shapes")
    with pytest.raises(CertificateError, match="colors/1"):
        site.start(strict=False)


def test_the_memory_of_a_model_is_free_after_its_last_request(site: Site) -> None:
    site.write(1)
    site.start()
    gc.disable()
    try:
        for version in range(2, 12):
            site.write(version)
            site.refresh()
            shutil.rmtree(site.folder / "colors" / str(version - 1))
        site.lifecycle.tick()
        # Without the collector: nothing holds a model in a cycle.
        assert site.states() == {11: "SERVING"}
    finally:
        gc.enable()


def test_the_stamp_changes_with_any_file_of_a_version(tmp_path: Path) -> None:
    (tmp_path / "colors/1").mkdir(parents=True)
    stamps = set()
    for change in ("model.onnx", "model.onnx.data", "model.onnx.minisig"):
        (tmp_path / "colors/1" / change).write_text("text")
        stamps.add(FolderStore(tmp_path).versions()[0].stamp)
    (tmp_path / "colors/1/model.onnx").write_text("TEXT")
    stamps.add(FolderStore(tmp_path).versions()[0].stamp)
    (tmp_path / "colors/1/.hidden").write_text("text")
    stamps.add(FolderStore(tmp_path).versions()[0].stamp)

    assert len(stamps) == 4
