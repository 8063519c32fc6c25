"""Commands that need packages of an extra."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from spyglass_cli.flags.extras import MissingExtra, install_hint, require


def test_an_installed_extra_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    require("server", "grpc")
    assert capsys.readouterr().err == ""


def test_a_missing_extra_is_named_and_ends_the_command_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(MissingExtra, match="this command needs the extra 'training'") as ended:
        require("training", "no_such_module")
    assert ended.value.code == 2
    assert f": {install_hint('training')}\n" in capsys.readouterr().err


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | None], None]:
    """Make an installation whose origin is the given JSON; None: it has no origin."""

    def install(origin: str | None) -> None:
        folder = tmp_path / "site/spyglass-0.9.dist-info"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: spyglass\nVersion: 0.9\n")
        if origin is not None:
            (folder / "direct_url.json").write_text(origin)
        monkeypatch.syspath_prepend(str(folder.parent))

    return install


Install = Callable[[str | None], None]


def test_the_hint_names_the_clone_or_the_wheel_of_this_installation(
    installed: Install, tmp_path: Path
) -> None:
    clone = tmp_path / "my clone"
    clone.mkdir()
    url = clone.as_uri()
    installed(json.dumps({"url": url, "dir_info": {}}))
    assert install_hint("server") == f"pip install '{clone}[server]'"
    installed(json.dumps({"url": url, "dir_info": {"editable": True}}))
    assert install_hint("server") == f"pip install -e '{clone}[server]'"
    wheel = "https://example.org/spyglass-0.9-py3-none-any.whl"
    installed(json.dumps({"url": wheel, "archive_info": {}}))
    assert install_hint("server") == f"pip install 'spyglass[server] @ {wheel}'"


@pytest.mark.parametrize("origin", [None, "", "[]", "{}", "nonsense", '{"url": "file:///no/such/folder"}'])
def test_without_a_known_origin_the_hint_names_both_ways_and_no_package_of_an_index(
    installed: Install, origin: str | None
) -> None:
    installed(origin)
    assert install_hint("server") == (
        "pip install '.[server]' in a clone of Spyglass, or pip install "
        "'spyglass-VERSION-py3-none-any.whl[server]' with its wheel"
    )


def test_no_text_suggests_a_package_that_is_not_published(repository_root: Path) -> None:
    folders = ("cli", "contract", "training", "export", "server", "clients", "docs", "deploy", "runs")
    texts = [repository_root / "README.md", *(p for f in folders for p in (repository_root / f).rglob("*"))]
    named = re.compile(r"pip3? install (-\S+ )*[\"'`]?spyglass(\[|\b(?!-))")
    for path in texts:
        if path.suffix in (".py", ".md", ".sh", ".toml", ".bash") or path.name == "Dockerfile":
            assert not named.search(path.read_text(encoding="utf-8")), path
