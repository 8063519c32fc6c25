"""Settings from flags, the environment and a file, in this order of precedence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import Field
from pydantic_settings import BaseSettings

from spyglass_contract.errors import InvalidInput
from spyglass_server.engine.capacity.processors import usable_cpus
from spyglass_server.engine.models.bundled import bundled_models
from spyglass_server.engine.models.lifecycle.policy import ALL
from spyglass_server.engine.models.stores.url import StoreUrl
from spyglass_server.setting_flags import read_flags
from spyglass_server.setting_values import expected
from spyglass_server.settings import ServerSettings, load_settings, read_settings


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Write a YAML file and return its path."""

    def make(text: str) -> str:
        path = tmp_path / "spyglass.yaml"
        path.write_text(text)
        return str(path)

    return make


def test_without_any_source_the_defaults_apply() -> None:
    settings = load_settings([])

    assert (settings.port, settings.device, settings.versions) == (50051, "auto", ["latest"])
    assert settings.models == [bundled_models()]
    assert settings.default_model == ["imagenet", "foreground"]


def test_every_setting_has_a_description() -> None:
    for name, field in ServerSettings.model_fields.items():
        assert (field.description or "").endswith("."), name


def test_flags_are_read() -> None:
    settings = load_settings(
        ["--port", "1234", "--models", "/srv/models", "--max-in-flight=7", "--grace-seconds", "0.5"]
    )

    assert (settings.port, settings.models) == (1234, [Path("/srv/models")])
    assert (settings.max_in_flight, settings.grace_seconds) == (7, 0.5)


def test_a_flag_of_a_list_may_be_repeated() -> None:
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


def test_flags_override_the_environment_and_the_environment_overrides_the_file(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPYGLASS_CONCURRENCY", "2")
    monkeypatch.setenv("SPYGLASS_PORT", "2")
    config = write("port: 3\nconcurrency: 3\nmax_batch: 3")

    settings = load_settings(["--config", config, "--port", "1"])

    assert (settings.port, settings.concurrency, settings.max_batch) == (1, 2, 3)


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--port", "65536"),
        ("--port", "-1"),
        ("--port", "http"),
        ("--device", "tpu"),
        ("--device", "cuda:"),
        ("--device", "cuda:0,cpu"),
        ("--provider", "tpu"),
        ("--gpu-memory-limit", "-1"),
        ("--concurrency", "-1"),
        ("--concurrency", "100000"),
        ("--threads-per-worker", "0"),
        ("--max-image-bytes", "0"),
        ("--max-image-pixels", "200000000"),
        ("--grace-seconds", "nan"),
        ("--grace-seconds", "-1"),
        ("--log-level", "loud"),
        ("--response-cache-bytes", "-1"),
        ("--response-cache-bytes", "256"),
        ("--response-cache-bytes", "1e9"),
        ("--response-cache-bytes", str(2**60)),
        ("--versions", "newest"),
    ],
)
def test_the_error_of_a_value_out_of_range_names_the_setting(flag: str, value: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{flag} must be .*, not {re.escape(repr(value))}$") as raised:
        load_settings([flag, value])
    assert raised.value.field == flag.strip("-").replace("-", "_")


@pytest.mark.parametrize(
    "arguments", [["--prot", "1"], ["models"], ["--port"], ["--por", "1"], ["--port", "1", "--port", "2"]]
)
def test_an_unknown_flag_ends_the_program_with_its_usage(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        load_settings(arguments)

    assert ended.value.code == 2
    assert "usage: spyglass serve" in capsys.readouterr().err


def test_an_unknown_setting_in_a_file_is_refused(write: Callable[[str], str]) -> None:
    with pytest.raises(InvalidInput, match=r"has the unknown setting 'prot' \(did you mean port\?\)"):
        load_settings(["--config", write("prot: 1234")])


@pytest.mark.parametrize("text", ["[1, 2", "- port", "just a sentence", "port: 1\n\tmodels: x", "\x01"])
def test_a_file_without_settings_is_refused_in_one_line(write: Callable[[str], str], text: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be read") as raised:
        load_settings(["--config", write(text)])

    assert "\n" not in raised.value.message


def test_a_missing_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="no settings file at"):
        load_settings(["--config", str(tmp_path / "nowhere.yaml")])

    monkeypatch.setenv("SPYGLASS_CONFIG", str(tmp_path))
    with pytest.raises(InvalidInput, match="no settings file at"):
        load_settings([])


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("pets", ["pets"]),
        ("pets,digits", ["pets", "digits"]),
        (" pets , digits, ", ["pets", "digits"]),
        ('["pets", "digits"]', ["pets", "digits"]),
    ],
)
def test_every_source_takes_a_list_as_one_value_with_commas_or_as_json(
    text: str, names: list[str], write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_settings(["--default-model", text]).default_model == names
    assert load_settings(["--config", write(f"default-model: {text!r}")]).default_model == names
    monkeypatch.setenv("SPYGLASS_DEFAULT_MODEL", text)
    assert load_settings([]).default_model == names


def test_the_models_may_come_from_several_folders(
    tmp_path: Path, write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, odd = tmp_path / "a", tmp_path / "b", tmp_path / "c,d:e"
    odd.mkdir()
    folders = [first, second, odd]
    assert load_settings([part for path in folders for part in ("--models", str(path))]).models == folders
    assert load_settings(["--config", write(f"models: [{first}, {second}]")]).models == [first, second]
    for separator in (os.pathsep, ",", ", "):
        monkeypatch.setenv("SPYGLASS_MODELS", f"{first}{separator}{second}")
        assert load_settings([]).models == [first, second]
    # The path of an existing folder is never split.
    monkeypatch.setenv("SPYGLASS_MODELS", str(odd))
    assert load_settings([]).models == [odd]
    assert ServerSettings(models=first).models == [first]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://bucket/models", ["s3://bucket/models"]),
        ("s3://bucket/a,https://host:8443/b/", ["s3://bucket/a", "https://host:8443/b"]),
        ("/srv/models:http://[::1]:8000/x, gs://b", ["/srv/models", "http://[::1]:8000/x", "gs://b"]),
        ("/srv/a:/srv/b,file:///srv/c", ["/srv/a", "/srv/b", "file:///srv/c"]),
        ('["memory://a", "/srv/b"]', ["memory://a", "/srv/b"]),
        ("x" * 5000, ["x" * 5000]),
    ],
)
def test_the_models_may_come_from_urls(
    text: str, expected: list[str], write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [StoreUrl.parse(place) if "://" in place else Path(place) for place in expected]
    assert load_settings(["--models", text]).models == places
    assert load_settings(["--config", write(f"models: {text!r}")]).models == places
    monkeypatch.setenv("SPYGLASS_MODELS", text)
    assert load_settings([]).models == places


def test_an_invalid_url_is_refused_without_its_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("https://me:s3cret@host:x/models", "https://host/models?key=s3cret", "s3://\ts3cret@a"):
        with pytest.raises(InvalidInput) as caught:
            load_settings(["--models", text])
        assert caught.value.message.startswith("--models must be one or more folders, or a URL such as s3://")
        assert "s3cret" not in caught.value.message
        monkeypatch.setenv("SPYGLASS_MODELS", text)
        with pytest.raises(InvalidInput) as caught:
            load_settings([])
        assert "s3cret" not in caught.value.message


def test_settings_with_credentials_show_none() -> None:
    settings = load_settings(["--models", "https://me:s3cret@host/models"])
    assert "s3cret" not in repr(settings) + str(settings) + ", ".join(map(str, settings.models))


def test_copies_of_models_lie_in_the_cache_folder_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert load_settings([]).remote_options.cache == tmp_path / "spyglass/models"
    options = load_settings(
        ["--model-cache", "/srv/copies", "--model-cache-bytes", "7", "--max-model-bytes", "5"]
    ).remote_options
    assert (options.cache, options.cache_bytes, options.max_file_bytes) == (Path("/srv/copies"), 7, 5)


@pytest.mark.parametrize("name", ["MODELS", "PORT", "CONFIG", "LOG_LEVEL", "DEFAULT_MODEL", "GRACE_SECONDS"])
@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_value_means_that_the_setting_is_not_set(
    name: str, text: str, write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flag = f"--{name.lower().replace('_', '-')}"
    monkeypatch.setenv(f"SPYGLASS_{name}", text)
    assert load_settings([flag, text]) == load_settings([])
    if name != "CONFIG":
        assert load_settings(["--config", write(f"{name.lower()}:\nport: 1")]).port == 1


def test_choices_are_read_in_any_case(write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPYGLASS_LOG_LEVEL", "INFO")
    monkeypatch.setenv("spyglass_log_format", "Json")
    settings = load_settings(["--versions", "ALL", "--config", write("Device: CPU ")])
    assert (settings.log_level, settings.log_format) == ("info", "json")
    assert (settings.version_policy, settings.device) == (ALL, "cpu")


def test_an_error_names_the_source_of_the_value(
    write: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write("port: yes\nconcurrency: 1")
    whole = "must be a whole number from 0 to 65535"
    with pytest.raises(InvalidInput, match=f"^port in {file} {whole}, not 'true'$"):
        load_settings(["--config", file])
    monkeypatch.setenv("SPYGLASS_PORT", "http")
    with pytest.raises(InvalidInput, match=f"^SPYGLASS_PORT {whole}, not 'http'$"):
        load_settings(["--config", file])
    with pytest.raises(InvalidInput, match=f"^--port {whole}, not 'x'; --device must be auto, cpu, cuda,"):
        load_settings(["--port", "x", "--device", "tpu"])
    assert load_settings(["--port", "7"]).port == 7


def test_a_long_value_is_cut_in_the_error() -> None:
    with pytest.raises(InvalidInput) as raised:
        load_settings(["--port", "9" * 1_000_000])
    assert len(raised.value.message) < 200


# Kubernetes sets these in every pod of a namespace that has a Service named "spyglass".
SERVICE_VARIABLES = {
    "SPYGLASS_SERVICE_HOST": "10.96.12.7",
    "SPYGLASS_SERVICE_PORT": "50051",
    "SPYGLASS_SERVICE_PORT_GRPC": "50051",
    "SPYGLASS_PORT": "tcp://10.96.12.7:50051",
    "SPYGLASS_PORT_50051_TCP": "tcp://10.96.12.7:50051",
    "SPYGLASS_PORT_50051_TCP_PROTO": "tcp",
    "SPYGLASS_PORT_50051_TCP_PORT": "50051",
    "SPYGLASS_PORT_50051_TCP_ADDR": "10.96.12.7",
    # Of a Service named "spyglass-web".
    "SPYGLASS_WEB_PORT": "udp://10.96.12.8:80",
    "SPYGLASS_WEB_SERVICE_HOST": "10.96.12.8",
}


def test_the_variables_of_a_kubernetes_service_are_ignored_with_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in SERVICE_VARIABLES.items():
        monkeypatch.setenv(name, value)
    loaded = read_settings([])
    assert loaded.settings == ServerSettings()
    (warning,) = loaded.warnings
    assert "SPYGLASS_PORT=tcp://10.96.12.7:50051 is ignored" in warning
    assert read_settings(["--port", "7"]).settings.port == 7


def test_unknown_variables_are_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPYGLASS_PROT", "1")
    monkeypatch.setenv("SPYGLASS_GRPC_PORT", "1")
    monkeypatch.setenv("SPYGLASS_SERVER", "somewhere:1")
    (warning,) = read_settings([]).warnings
    assert warning == (
        "unknown environment variables are ignored: SPYGLASS_GRPC_PORT (did you mean SPYGLASS_PORT?), "
        "SPYGLASS_PROT (did you mean SPYGLASS_PORT?)"
    )


@pytest.mark.parametrize(
    ("host", "listens", "reached"),
    [
        ("[::]", "[::]:7", "localhost:7"),
        ("::", "[::]:7", "localhost:7"),
        ("*", "[::]:7", "localhost:7"),
        ("0.0.0.0", "0.0.0.0:7", "127.0.0.1:7"),
        ("::1", "[::1]:7", "[::1]:7"),
        ("[2001:db8::5]", "[2001:db8::5]:7", "[2001:db8::5]:7"),
        (" localhost ", "localhost:7", "localhost:7"),
        ("10.1.2.3", "10.1.2.3:7", "10.1.2.3:7"),
        ("my_container", "my_container:7", "my_container:7"),
        ("unix:/run/spyglass.sock", "unix:/run/spyglass.sock", "unix:/run/spyglass.sock"),
    ],
)
def test_a_host_is_an_address_to_listen_on_and_one_to_reach_it_on(
    host: str, listens: str, reached: str
) -> None:
    settings = load_settings(["--host", host, "--port", "7"])
    assert (settings.listen_address, settings.local_target) == (listens, reached)


@pytest.mark.parametrize(
    "host",
    [
        "http://host",
        "host:50051",
        "1.2.3",
        "256.1.1.1",
        "[::",
        ":::",
        "a b",
        "[localhost]",
        "unix:",
        "a/b",
        "x" * 300,
    ],
)
def test_the_error_of_a_malformed_host_has_the_expected_form(host: str) -> None:
    with pytest.raises(InvalidInput, match=r"^--host must be a host without a port, such as localhost"):
        load_settings(["--host", host])


def test_port_0_has_no_target() -> None:
    with pytest.raises(InvalidInput, match="port 0"):
        _ = load_settings(["--port", "0"]).local_target


def test_reading_settings_imports_no_inference_engine() -> None:
    code = "import sys, spyglass_server.settings; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_settings_without_a_value_are_sized_by_the_processors() -> None:
    settings = ServerSettings()

    assert settings.effective_concurrency == usable_cpus()
    assert settings.effective_max_in_flight == max(1024, 64 * usable_cpus())


def test_settings_with_a_value_are_kept() -> None:
    settings = ServerSettings(concurrency=3, max_in_flight=5)

    assert (settings.effective_concurrency, settings.effective_max_in_flight) == (3, 5)


class Switch(BaseSettings):
    """A group of settings with one boolean."""

    compressed: bool = Field(False, description="Accept compressed requests.")
    seconds: float = Field(1.0, gt=0, le=60, description="A time.")
    limit: int | None = Field(None, ge=1, description="A limit.")


@pytest.mark.parametrize(
    ("arguments", "value"),
    [(["--compressed"], "true"), (["--compressed", "false"], "false"), (["--compressed=yes"], "yes")],
)
def test_a_boolean_flag_without_a_value_is_true(arguments: list[str], value: str) -> None:
    assert read_flags(Switch, arguments, "switch") == {"compressed": value}
    with pytest.raises(SystemExit):
        read_flags(Switch, [*arguments, "--compressed"], "switch")


def test_the_expected_value_in_an_error_follows_from_the_type_and_the_bounds() -> None:
    words = {name: expected(field) for name, field in Switch.model_fields.items()}
    assert words == {
        "compressed": "true or false",
        "seconds": "a number above 0 to 60",
        "limit": "a whole number from 1",
    }


def test_the_help_shows_every_setting_once_in_its_group(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_settings(["--help"])
    shown = capsys.readouterr().out

    for name in ServerSettings.model_fields:
        flag = f"--{name.replace('_', '-')}"
        assert len(re.findall(rf"^  {flag}(?= |$)", shown, re.MULTILINE)) == 1
    titles = [
        "Where the server listens",
        "The models",
        "What all requests",
        "Who may call",
        "What the server logs",
    ]
    places = [shown.index(f"\n{title}") for title in titles]
    assert places == sorted(places)
    assert places[0] < shown.index("--tls-key") < places[1] < shown.index("--device") < places[2]
