"""The check of help texts and errors for banned words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BANNED = {
    "help": 'parser.add_argument("--server", help="the certificates of who vouches for it")',
    "setting": 'port: int = Field(1, description="What is wanted: "\n    "one picture")',
    "raised": 'raise ValueError(f"these {retries} make no sense")',
    "returned": 'def refuse(): return InvalidInput(f"{image} has no answer")',
}


def check(folder: Path, repository_root: Path) -> subprocess.CompletedProcess[str]:
    script = repository_root / "tools/plain_words.py"
    return subprocess.run([sys.executable, script, folder], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("source", BANNED.values(), ids=BANNED)
def test_a_banned_word_is_reported_with_its_line(source: str, tmp_path: Path, repository_root: Path) -> None:
    (tmp_path / "module.py").write_text(f"# A comment.\n{source}\n")
    done = check(tmp_path, repository_root)
    assert done.returncode == 1
    assert f"{tmp_path}/module.py:2: " in done.stdout


def test_comments_and_names_are_not_checked(tmp_path: Path, repository_root: Path) -> None:
    (tmp_path / "module.py").write_text(
        '# A picture.\npictures = ["picture"]\nraise ValueError("no image")\n'
    )
    assert check(tmp_path, repository_root).returncode == 0
