"""`spyglass sign`: signatures of model files, and keys for them."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from spyglass_cli.flags.extras import require
from spyglass_contract.errors import InvalidInput

_DESCRIPTION = """Write a signature beside every file that a server opens for a model: model.onnx.minisig,
in the format of minisign. `spyglass serve --require-signature KEY.pub` loads only signed models."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = subparsers.add_parser("sign", help="sign model files, or make a key", description=_DESCRIPTION)
    parser.add_argument(
        "models",
        type=Path,
        nargs="*",
        metavar="MODEL",
        help="model file, or the folder MODELS/NAME/VERSION with model.onnx",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--key", type=Path, metavar="FILE", help="secret key to sign with")
    what.add_argument(
        "--new-key",
        type=Path,
        metavar="FILE",
        help="write a new secret key to FILE, and its public key beside it with the suffix .pub",
    )
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--no-password", action="store_true", help="do not encrypt the new key")
    secret.add_argument(
        "--password-file",
        type=Path,
        metavar="FILE",
        help="file whose first line is the password of the key; by default the command asks for it",
    )
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Sign the models or make the key, print what was written, and return 0. Raises SpyglassError."""
    require("server", "minisign")
    if arguments.new_key:
        return _make_key(arguments)
    if not arguments.models:
        raise InvalidInput("--key needs one or more model files to sign")
    if arguments.no_password:
        raise InvalidInput("--no-password belongs to --new-key: the file of a key says if it has a password")
    from spyglass_contract.model.signing import read_key, sign_model, unlock

    with read_key(arguments.key) as key:
        if key.is_encrypted():
            unlock(key, _password(arguments.password_file, f"Password of {arguments.key}: "))
        for model in arguments.models:
            file = model / "model.onnx" if model.is_dir() else model
            for signed in sign_model(file, key):
                print(f"signed {signed}")
    return 0


def _make_key(arguments: argparse.Namespace) -> int:
    from spyglass_contract.model.signing import new_key

    if arguments.models:
        raise InvalidInput("--new-key signs nothing: make the key first, then sign with --key")
    password = None
    if not arguments.no_password:
        password = _password(arguments.password_file, "Password for the new key: ", twice=True)
    public = new_key(arguments.new_key, password)
    print(f"{arguments.new_key}: secret key; keep it where nobody else can read it")
    print(f"{public}: public key, for `spyglass serve --require-signature {public}`")
    return 0


def _password(file: Path | None, prompt: str, *, twice: bool = False) -> str:
    """Return the password in a file, or ask for it. Raises InvalidInput."""
    if file is not None:
        lines = file.read_text(encoding="utf-8").splitlines()
        password = lines[0] if lines else ""
    elif sys.stdin.isatty():
        password = getpass.getpass(prompt)
        if twice and getpass.getpass("The same again: ") != password:
            raise InvalidInput("the two passwords differ")
    else:
        raise InvalidInput("the key needs a password: pass --password-file, or run the command in a terminal")
    if not password:
        raise InvalidInput("the password is empty; --no-password makes a key without one")
    return password
