"""Every command that talks to a server, with a server that requires a certificate and a token."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from authorities import Authority
from spyglass_cli.commands import classify_image
from spyglass_cli.main import main
from spyglass_server.server import Server
from spyglass_server.settings import ServerSettings

SHORT = ("--seconds", "0.3", "--warm-up", "0.1", "--processes", "2", "--concurrency", "2", "--timeout", "10")


@pytest.fixture(scope="module")
def flags(
    tiny_models: Path, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The flags of a caller that the server accepts."""
    folder = tmp_path_factory.mktemp("safe")
    certificate, key = authority.issue("safe-server", "vision.example")
    own_certificate, own_key = authority.issue("safe-caller", "caller.example")
    tokens, token = folder / "tokens.jsonl", folder / "token"
    scopes = [part for scope in ("classify", "heatmap", "model:*") for part in ("--scope", scope)]
    with redirect_stdout(StringIO()) as written:
        assert main(["token", "new", "--name", "caller", *scopes, str(tokens)]) == 0
    token.write_text(written.getvalue())
    settings = ServerSettings(
        host="localhost",
        port=0,
        models=[tiny_models],
        profile_seconds=0,
        tls_certificate=certificate,
        tls_key=key,
        tls_client_ca=authority.pem,
        tokens=tokens,
    )
    server = Server(settings)
    server.start()
    yield {
        "--server": f"localhost:{server.port}",
        "--server-name": "vision.example",
        "--ca": str(authority.pem),
        "--certificate": str(own_certificate),
        "--key": str(own_key),
        "--token-file": str(token),
    }
    server.stop(grace=0)


def run(*arguments: str) -> int:
    command, *rest = arguments
    return classify_image.main(rest) if command == "classify-image" else main(arguments)


# Each command, and a part of what it prints when it is served. The model is a small classifier.
COMMANDS = [
    (("classify-image", "red.png"), "red"),
    (("explain", "red.png"), "colors has no heatmap"),
    (("segment", "red.png"), "the caller lacks the scope segment"),
    (("models", "list"), "colors"),
    (("models", "show", "colors"), "colors"),
    (("health",), "SERVING"),
    (("bench", "red.png", *SHORT), "2 callers"),
]
every_command = pytest.mark.parametrize(
    ("command", "shown"), COMMANDS, ids=[" ".join(command[:2]) for command, _ in COMMANDS]
)


@pytest.fixture(autouse=True)
def image(tmp_path: Path, color_image: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("red.png").write_bytes(color_image("red"))


@pytest.mark.slow
@every_command
def test_a_command_with_all_flags_is_served(
    command: tuple[str, ...], shown: str, flags: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    run(*command, *(part for pair in flags.items() for part in pair))
    assert shown in "".join(capsys.readouterr())


@every_command
@pytest.mark.parametrize("without", ["--server-name", "--ca"])
def test_a_command_without_a_flag_says_what_is_wrong_with_tls(
    command: tuple[str, ...],
    shown: str,
    without: str,
    flags: dict[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = (part for name, value in flags.items() if name != without for part in (name, value))
    assert run(*command, *given) == 1
    cause = "not for this host" if without == "--server-name" else "trusts no authority"
    assert cause in capsys.readouterr().err


def test_a_token_for_another_machine_needs_tls(
    flags: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    token = ("--token-file", flags["--token-file"])
    assert run("classify-image", "red.png", "--server", "192.0.2.1", *token) == 2
    assert "only with TLS" in capsys.readouterr().err
