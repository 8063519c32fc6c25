"""Settings from flags, environment and file, in that order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.bundled import bundled_models
from spyglass_server.engine.processors import usable_cpus
from spyglass_server.settings import ServerSettings, load_settings


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes a YAML file and gives its path."""

    def make(text: str) -> str:
        path = tmp_path / "spyglass.yaml"
        path.write_text(text)
        return str(path)

    return make


def test_without_anything_the_defaults_hold() -> None:
    settings = load_settings([])

    assert (settings.port, settings.device, settings.versions) == (50051, "auto", "latest")
    assert settings.models == bundled_models()
    assert settings.default_model == ["imagenet", "foreground"]


def test_every_setting_has_a_sentence() -> None:
    for name, field in ServerSettings.model_fields.items():
        assert (field.description or "").endswith("."), name


def test_flags_are_read() -> None:
    settings = load_settings(
        ["--port", "1234", "--models", "/srv/models", "--max-in-flight=7", "--grace-seconds", "0.5"]
    )

    assert (settings.port, settings.models) == (1234, Path("/srv/models"))
    assert (settings.max_in_flight, settings.grace_seconds) == (7, 0.5)


def test_a_flag_with_several_values_is_given_several_times() -> None:
    settings = load_settings(["--default-model", "pets", "--default-model", "digits"])

    assert settings.default_model == ["pets", "digits"]


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPYGLASS_LOG_FORMAT", "json")
    monkeypatch.setenv("SPYGLASS_DEFAULT_MODEL", '["pets"]')

    settings = load_settings([])

    assert (settings.log_format, settings.default_model) == ("json", ["pets"])


def test_a_file_is_read(write: Callable[[str], str]) -> None:
    settings = load_settings(["--config", write("port: 1234\ndefault_model: [pets, digits]\n")])

    assert (settings.port, settings.default_model) == (1234, ["pets", "digits"])


def test_the_environment_may_name_the_file(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPYGLASS_CONFIG", write("port: 1234"))

    assert load_settings([]).port == 1234


def test_flags_win_over_the_environment_and_that_over_the_file(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPYGLASS_WORKERS", "2")
    monkeypatch.setenv("SPYGLASS_PORT", "2")
    config = write("port: 3\nworkers: 3\nmax_batch: 3")

    settings = load_settings(["--config", config, "--port", "1"])

    assert (settings.port, settings.workers, settings.max_batch) == (1, 2, 3)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--port", "http"),
        ("--device", "tpu"),
        ("--device", "cuda:"),
        ("--device", "cpu\n"),
        ("--workers", "-1"),
        ("--workers", "100000"),
        ("--threads-per-worker", "0"),
        ("--max-image-bytes", "0"),
        ("--max-image-pixels", "200000000"),
        ("--grace-seconds", "nan"),
        ("--grace-seconds", "-1"),
        ("--log-level", "loud"),
        ("--versions", "newest"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(flag: str, value: str) -> None:
    with pytest.raises(ValidationError, match=flag.strip("-").replace("-", "_")):
        load_settings([flag, value])


@pytest.mark.parametrize("arguments", [["--prot", "1"], ["models"], ["--port"]])
def test_a_flag_that_there_is_not_ends_the_program_with_its_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        load_settings(arguments)

    assert ended.value.code == 2
    assert "usage: spyglass serve" in capsys.readouterr().err


def test_a_setting_that_there_is_not_is_refused_in_a_file(write: Callable[[str], str]) -> None:
    with pytest.raises(ValidationError, match="prot"):
        load_settings(["--config", write("prot: 1234")])


@pytest.mark.parametrize("text", ["[1, 2", "- port", "just a sentence", "port: 1\n\tmodels: x", "\x01"])
def test_a_file_that_is_not_of_settings_is_refused_in_one_line(
    write: Callable[[str], str], text: str
) -> None:
    with pytest.raises(InvalidInput, match="cannot be read") as raised:
        load_settings(["--config", write(text)])

    assert "\n" not in raised.value.message


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="no settings file at"):
        load_settings(["--config", str(tmp_path / "nowhere.yaml")])

    monkeypatch.setenv("SPYGLASS_CONFIG", str(tmp_path))
    with pytest.raises(InvalidInput, match="no settings file at"):
        load_settings([])


def test_a_list_in_the_environment_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPYGLASS_DEFAULT_MODEL", "pets,digits")

    with pytest.raises(InvalidInput, match="default_model"):
        load_settings([])


def test_what_is_not_set_is_sized_by_the_processors() -> None:
    settings = ServerSettings()

    assert settings.effective_workers == usable_cpus()
    assert settings.effective_max_in_flight == max(64, 8 * usable_cpus())


def test_what_is_set_is_not_sized_by_anything() -> None:
    settings = ServerSettings(workers=3, max_in_flight=5)

    assert (settings.effective_workers, settings.effective_max_in_flight) == (3, 5)
