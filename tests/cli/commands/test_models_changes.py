"""The commands that change the models of a running server, against a real one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from spyglass.v1.model_pb2 import ModelCard
from spyglass_cli.main import main
from spyglass_server.engine.models.model import Model, Resources
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings
from tiny_classifier import tiny_card, write_tiny_model


class Site:
    """A server of the model `colors` that allows changes, its repository, and the commands."""

    def __init__(self, models: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.models = models
        self._capsys = capsys
        for version in (1, 2):
            self.write(version)
        settings = ServerSettings(
            host="127.0.0.1",
            port=0,
            models=models,
            profile_seconds=0,
            concurrency=1,
            admin=True,
            versions="all",
        )
        self._open = Event()
        self._open.set()
        self.server = Server(settings)
        self.server.start(open_model=self._open_model)

    def hold(self) -> None:
        """Let no load end until `release`."""
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    def _open_model(self, path: Path) -> Model:
        assert self._open.wait(30)
        return Model.load(path, Resources("cpu", workers=1))

    def write(self, version: int, card: ModelCard | None = None) -> None:
        """Write a version, by default a good one."""
        path = write_tiny_model(self.models, card or tiny_card(version=version))
        if card and card.version != version:
            (self.models / "colors" / str(version)).mkdir(exist_ok=True)
            shutil.move(path, self.models / "colors" / str(version) / "model.onnx")

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run `spyglass models`; return the exit code, the output and the errors."""
        self._capsys.readouterr()
        code = main(["models", *arguments, "--server", f"127.0.0.1:{self.server.port}"])
        printed = self._capsys.readouterr()
        return code, printed.out, printed.err

    def json(self, *arguments: str) -> Any:
        """Run a command that succeeds; return what it prints as JSON."""
        code, output, errors = self.run(*arguments, "--format", "json")
        assert code == 0, errors
        return json.loads(output)

    def states(self) -> dict[int, str]:
        return {row["version"]: row["state"] for row in self.json("list")}


@pytest.fixture
def site(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Site]:
    made = Site(tmp_path / "models", capsys)
    yield made
    made.server.stop(grace=0)


def test_a_version_is_loaded_listed_and_unloaded(site: Site, eventually: Callable[..., None]) -> None:
    site.write(3)
    code, output, _ = site.run("load", "colors:3")
    assert code == 0 and re.search(r"colors:3 +serving", output)
    assert site.states() == {1: "serving", 2: "serving", 3: "serving"}

    assert [status["version"] for status in site.json("unload", "colors:3")] in ([3], [])
    eventually(lambda: site.states() == {1: "serving", 2: "serving"})


def test_without_a_version_the_highest_is_loaded(site: Site) -> None:
    site.write(9)
    (status,) = [site.json("load", "colors")]
    assert status[0]["version"] == 9


def test_a_refused_file_is_an_error_and_stays_listed_with_its_reason(site: Site) -> None:
    site.write(3, tiny_card(version=4))
    code, _, errors = site.run("load", "colors:3")
    assert (code, errors) == (1, "spyglass models: colors/3: the card in the file is of colors/4\n")

    code, output, _ = site.run("list")
    assert code == 0
    assert re.search(r"colors:3 +failed", output)
    assert "colors:3: CARD_INVALID: colors/3: the card in the file is of colors/4\n" in output
    (failed,) = [row for row in site.json("list") if row["state"] == "failed"]
    assert (failed["version"], failed["reason"]) == (3, "CARD_INVALID")
    assert "provider" not in failed

    code, _, errors = site.run("show", "colors:3")
    assert code == 1 and "CARD_INVALID: colors/3: the card" in errors


def test_a_reload_fails_if_a_file_is_refused(site: Site) -> None:
    assert site.run("reload")[0] == 0
    site.write(3, tiny_card(version=4))
    code, output, _ = site.run("reload")
    assert code == 1
    assert re.search(r"colors:2 +serving", output) and re.search(r"colors:3 +failed", output)
    assert "CARD_INVALID" in output


def test_a_changed_file_that_is_refused_is_listed_beside_the_one_that_serves(site: Site) -> None:
    (site.models / "colors/2/model.onnx").write_bytes(b"cut off")
    site.run("reload")
    code, output, _ = site.run("list")
    assert code == 0 and re.search(r"colors:2 +serving", output)
    assert "the earlier file still serves" in output
    assert "the earlier file still serves" in site.run("show", "colors:2")[1]


def test_labels_are_given_listed_and_removed(site: Site) -> None:
    site.json("label", "colors", "stable", "1")
    code, output, _ = site.run("label", "colors", "canary", "2")
    assert code == 0
    assert re.search(r"canary +2", output) and re.search(r"stable +1", output)
    assert re.search(r"colors:1 +serving +stable ", site.run("list")[1])
    assert site.json("show", "colors@canary")["status"]["labels"] == ["canary"]
    assert re.search(r"labels +canary", site.run("show", "colors:2")[1])

    assert site.json("label", "colors", "canary", "--remove")["labels"] == {"stable": 1}
    code, output, _ = site.run("label", "colors", "stable", "--remove")
    assert (code, output) == (0, "colors has no labels and no traffic shares\n")


def test_traffic_is_shared_shown_and_cleared(site: Site) -> None:
    site.json("label", "colors", "stable", "1")
    code, output, _ = site.run("traffic", "colors", "stable", "2", "12.5%", "--sticky", "caller")
    assert code == 0
    assert re.search(r"stable +1 +12.5 % of stable to 2, by caller", output)
    assert "12.5 % of stable to 2, by caller" in site.run("list")[1]
    output = site.run("traffic", "colors", "2", "1", "50")[1]
    assert re.search(r"2 +50 % of 2 to 1, by request", output)

    assert site.json("traffic", "colors", "2", "1", "0")["traffic"] == [
        {"source": "stable", "target": 2, "percent": 12.5, "sticky": "caller"}
    ]
    assert site.json("traffic", "colors", "--clear") == {
        "name": "colors",
        "labels": {"stable": 1},
        "traffic": [],
        "problem": "",
    }


def test_a_rollback_gives_the_label_its_last_version_and_ends_the_shares(site: Site) -> None:
    site.json("label", "colors", "stable", "1")
    site.json("traffic", "colors", "stable", "2", "10")
    site.json("label", "colors", "stable", "2")
    found = {"name": "colors", "labels": {"stable": 1}, "traffic": [], "problem": ""}
    assert site.json("rollback", "colors") == found
    code, _, errors = site.run("rollback", "colors")
    assert code == 1 and "has had no other version" in errors


def test_a_label_whose_version_is_gone_is_listed_as_absent(site: Site) -> None:
    site.json("label", "colors", "canary", "1")
    shutil.rmtree(site.models / "colors/1")
    site.run("reload")
    rows = {row["version"]: row for row in site.json("list") if row["state"] != "draining"}
    assert (rows[1]["state"], rows[1]["labels"], rows[2]["state"]) == ("absent", ["canary"], "serving")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["label", "colors", "canary"], "either VERSION or --remove"),
        (["label", "colors", "canary", "1", "--remove"], "either VERSION or --remove"),
        (["traffic", "colors"], "FROM, TO and PERCENT"),
        (["traffic", "colors", "stable", "canary"], "FROM, TO and PERCENT"),
        (["traffic", "colors", "stable", "canary", "10", "--clear"], "FROM, TO and PERCENT"),
        (["load", "colors@stable"], "NAME or NAME:VERSION"),
        (["label", "colors", "17", "1"], "not only digits"),
        (["traffic", "colors", "0", "2", "10"], "1 or more"),
    ],
)
def test_invalid_usage_is_refused_before_anything_is_sent(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *arguments, "--server", "127.0.0.1:1"]) == 2
    assert expected in capsys.readouterr().err


def test_a_change_is_for_one_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "reload", "--server", "127.0.0.1:1,127.0.0.1:2"]) == 2
    assert "give one address, not 2" in capsys.readouterr().err


@pytest.mark.parametrize("percent", ["101", "-1", "nan", "ten"])
def test_a_percentage_is_from_0_to_100(percent: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["models", "traffic", "colors", "stable", "canary", percent])
    assert ended.value.code == 2
    assert "0 to 100" in capsys.readouterr().err or percent == "-1"


def test_a_server_that_allows_no_changes_is_an_error_that_says_what_to_do(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "load", "colors:1", "--server", server]) == 1
    assert capsys.readouterr().err == (
        "spyglass models: the server does not allow changes of its models: start it with --admin\n"
    )


def test_a_load_that_takes_longer_than_the_timeout_goes_on(
    site: Site, eventually: Callable[..., None]
) -> None:
    site.write(3)
    site.hold()
    code, _, errors = site.run("load", "colors:3", "--timeout", "0.3")
    assert code == 1
    assert "the server goes on, and `spyglass models list` shows the state" in errors
    assert site.states()[3] == "loading"
    site.release()
    eventually(lambda: site.states()[3] == "serving")
