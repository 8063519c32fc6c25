"""Install LitServe, MLServer and mosec, each into an environment of its own beside this file.

    python benchmarks/competitors/install.py [NAME ...]

numpy, Pillow and ONNX Runtime have the versions of the environment that runs this script. The variable
BENCHMARK_ENVIRONMENTS names another folder for the environments.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import venv
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from competitors.environments import HELD_BACK, SHARED, VERSIONS, installed_versions, python_of

# What the model card and the decoding of `spyglass_contract` need beside these.
_MESSAGES = ("googleapis-common-protos>=1.70", "protobuf>=6.31")


def main() -> int:
    """Install the named servers, or all; return 1 if one of them could not be installed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(VERSIONS)} (default: all)")
    names = parser.parse_args().names or list(VERSIONS)
    if unknown := [name for name in names if name not in VERSIONS]:
        parser.error(f"expected {', '.join(VERSIONS)}, not {', '.join(unknown)}")
    return 0 if all([_install(name) for name in names]) else 1


def _install(name: str) -> bool:
    python = python_of(name)
    venv.create(python.parents[1], with_pip=True)
    shared = [f"{each}=={version(each)}" for each in SHARED]
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    wanted = [
        f"{name}=={VERSIONS[name]}",
        *HELD_BACK.get(name, ()),
        *shared,
        "protobuf>=6.31",
        "googleapis-common-protos>=1.70",
    ]
    if subprocess.run([*command, *wanted]).returncode != 0:
        print(f"{name}: pip could not install {' '.join(wanted)}", file=sys.stderr)
        return False
    found = installed_versions(name)
    print(f"{name}: {', '.join(f'{each} {number}' for each, number in found.items())}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
