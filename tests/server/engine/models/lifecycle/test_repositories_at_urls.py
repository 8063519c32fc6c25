"""Versions at a URL: copied to this machine, loaded, replaced, and fetched again after a failure."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lifecycle_site import Network
from spyglass.v1.model_pb2 import TASK_CLASSIFY, ModelRef
from spyglass_contract.errors import CertificateError
from spyglass_server.engine.models.lifecycle.lifecycle import Lifecycle
from spyglass_server.engine.models.lifecycle.policy import VersionPolicy
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.engine.models.repository import Repository
from spyglass_server.engine.models.routing import Routing
from spyglass_server.engine.models.stores.options import Patience, RemoteOptions
from spyglass_server.engine.models.stores.remote import RemoteStore
from spyglass_server.engine.models.stores.url import StoreUrl
from web_folder import WebFolder, web_folder


class Site:
    """A web server with models, and what serves of them."""

    def __init__(self, web: WebFolder, cache: Path, open_model: Callable[[Path], Model]) -> None:
        self.web, self.cache = web, cache
        self.repository = Repository()
        options = RemoteOptions(cache, cache_bytes=1_000_000, patience=Patience(5, 1, 0.001))
        store = RemoteStore(StoreUrl.parse(web.url), options)
        self.lifecycle = Lifecycle([store], self.repository, VersionPolicy.parse([]), open_model)

    def write(self, version: int, content: str = "ok") -> None:
        self.web.write(f"colors/{version}/model.onnx", content.encode())

    def refresh(self) -> None:
        self.lifecycle.refresh()
        assert self.lifecycle.settled(10)

    def served(self, label: str = "") -> Model:
        return self.repository.resolve(ModelRef(name="colors", label=label or None), TASK_CLASSIFY)

    def failure(self) -> tuple[str, str]:
        (failed,) = (status for status in self.lifecycle.statuses() if status.reason)
        return failed.reason, failed.message

    def copies(self) -> list[str]:
        return sorted(path.read_text() for path in self.cache.glob("versions/*/files/*/*/model.onnx"))


@pytest.fixture
def site(
    tmp_path: Path, make_card: Callable[..., Any], classify_colors: Callable[..., Any]
) -> Iterator[Site]:
    def open_model(path: Path) -> Model:
        if not path.read_text().startswith("ok"):
            raise CertificateError("the outputs differ")
        card = make_card(path.parent.parent.name, int(path.parent.name))
        return Model(Network(card, classify_colors), "ab" * 32, Resources())

    (tmp_path / "web").mkdir()
    with web_folder(tmp_path / "web") as web:
        made = Site(web, tmp_path / "cache", open_model)
        yield made
        made.lifecycle.close()


def test_versions_come_and_change(site: Site) -> None:
    site.write(1)
    site.web.write("colors/routing.json", b'{"labels": {"stable": 1}}')
    site.lifecycle.start(1)
    assert site.served().card.version == 1
    site.write(2)
    site.refresh()
    assert (site.served().card.version, site.served("stable").card.version) == (1, 1)
    site.write(3, "bad")
    site.refresh()
    assert site.failure() == ("CERTIFICATE_FAILED", "colors/3: the outputs differ")


@pytest.mark.slow
def test_a_copy_stays_as_long_as_a_model_uses_it(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write(1, "ok one")
    site.lifecycle.start(1)
    used = site.served()
    (folder,) = (site.cache / "versions").iterdir()
    site.write(1, "ok two")
    site.refresh()
    room = site.lifecycle._catalog._stores[0]._cache._room
    monkeypatch.setattr(room, "_max_bytes", len("ok one") + 10_000)
    os.utime(folder / "use.lock", (1, 1))
    site.write(1, "ok three" * 1000)
    site.refresh()
    assert "ok one" in site.copies()
    assert used.card.version == 1
    del used
    gc.collect()
    site.lifecycle.tick()
    site.write(1, "ok four" * 1000)
    site.refresh()
    assert "ok one" not in site.copies()


def test_a_download_that_failed_is_tried_at_the_next_look(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.write(1)
    site.lifecycle.start(1)
    site.write(2)
    site.web.cut["/colors/2/model.onnx"] = 1
    site.refresh()
    assert site.failure() == ("STORE_UNREACHABLE", "colors/2: colors/2/model.onnx cannot be reached")
    assert f"{site.web.url}/colors/2/model.onnx cannot be reached: ClientPayloadError" in caplog.text
    assert site.served().card.version == 1
    site.web.cut.clear()
    site.refresh()
    assert site.served().card.version == 2


def test_a_full_disk_leaves_what_serves(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write(1)
    site.lifecycle.start(1)
    site.write(2)
    room = site.lifecycle._catalog._stores[0]._cache._room
    monkeypatch.setattr(room, "_max_bytes", 1)
    site.refresh()
    reason, message = site.failure()
    assert (reason, site.served().card.version) == ("CACHE_FULL", 1)
    assert str(site.cache) not in message
    monkeypatch.setattr(room, "_max_bytes", 1_000_000)
    site.refresh()
    assert site.served().card.version == 2


def test_models_stay_when_the_repository_cannot_be_reached(site: Site) -> None:
    site.write(1)
    site.lifecycle.start(1)
    site.web.refuse("/models.json", 503, times=1)
    with pytest.raises(Exception, match="cannot be reached: status 503"):
        site.lifecycle.refresh()
    assert site.served().card.version == 1
    site.write(2)
    site.refresh()
    assert site.served().card.version == 2


def test_labels_on_a_web_server_cannot_be_changed(site: Site) -> None:
    site.write(1)
    site.lifecycle.start(1)
    with pytest.raises(Exception, match="a web server is read only") as caught:
        site.lifecycle.route("colors", lambda routing: Routing({"stable": 1}, {}, ()))
    assert getattr(caught.value, "reason", "") == "STORE_READ_ONLY"
