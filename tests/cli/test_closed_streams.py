"""Commands with closed or full standard streams: one line, exit code 1, and no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from spyglass_cli import streams

CLASSIFY = "from spyglass_cli.commands.classify_image import main; raise SystemExit(main())"


def shell(command: str, server: str, redirections: str) -> tuple[int, str, str]:
    """Run a command with redirections of a shell; return exit code, output and errors."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" {command} --server {server} {redirections}', sys.executable],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr and "Exception" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_closed_output_is_an_error_of_one_line(folder: Path, server: str) -> None:
    expected = "classify-image: cannot write the output: standard output is closed\n"
    assert shell(f"-c '{CLASSIFY}' images/red.png", server, ">&-") == (1, "", expected)


@pytest.mark.slow
@pytest.mark.parametrize("output", ["json", "jsonl", "csv"])
def test_a_closed_output_is_an_error_of_one_line_in_every_format(
    folder: Path, server: str, output: str
) -> None:
    expected = "classify-image: cannot write the output: standard output is closed\n"
    assert shell(f"-c '{CLASSIFY}' images/red.png --format {output}", server, ">&-") == (1, "", expected)


def test_a_full_output_is_an_error_of_one_line(folder: Path, server: str) -> None:
    expected = "classify-image: cannot write the output: No space left on device\n"
    assert shell(f"-c '{CLASSIFY}' images/red.png", server, ">/dev/full") == (1, "", expected)


def test_a_closed_input_is_the_error_of_its_image(folder: Path, server: str) -> None:
    code, output, errors = shell(f"-c '{CLASSIFY}' images/red.png -", server, "<&-")
    assert (code, errors) == (1, "-: standard input is closed\n")
    assert "images/red.png" in output


def test_closed_standard_error_does_not_change_the_output_or_the_exit_code(folder: Path, server: str) -> None:
    code, output, _ = shell(f"-c '{CLASSIFY}' images/red.png --format csv", server, "2>&-")
    assert code == 0 and output.startswith("path,model")


@pytest.mark.slow
def test_without_any_stream_the_exit_code_is_the_same(folder: Path, server: str) -> None:
    assert shell(f"-c '{CLASSIFY}' nowhere.png", server, "2>&-")[:2] == (1, "")
    assert shell("-m spyglass_cli models list", server, "<&- >&- 2>&-") == (1, "", "")


def test_closed_descriptors_are_not_given_to_other_files(tmp_path: Path) -> None:
    code = (
        "from spyglass_cli import streams; streams.prepare(); "
        f"file = open({str(tmp_path / 'file')!r}, 'w'); raise SystemExit(file.fileno() < 3)"
    )
    assert (
        subprocess.run(["sh", "-c", 'exec "$0" -c "$1" <&- >&- 2>&-', sys.executable, code]).returncode == 0
    )


def test_writing_to_a_closed_output_is_an_error() -> None:
    with pytest.raises(OSError, match="standard output is closed"):
        print("text", file=streams.ClosedOutput())
