"""`spyglass models index`: the index of a repository, with the hashes of its files."""

from __future__ import annotations

import argparse
from pathlib import Path

from spyglass_cli.flags.extras import require
from spyglass_contract.files import write_whole


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "index",
        help="write the index of a folder of models, for repositories at URLs",
        description="Write models.json into a folder with NAME/VERSION/model.onnx: every version, and the "
        "size and SHA-256 of every file. A server that reads such a folder at a URL takes the versions from "
        "the index, and accepts only files with these hashes.",
        epilog="Upload the files first and models.json last.",
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder with NAME/VERSION/model.onnx")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file and return 0. Raises ModelError and OSError."""
    require("server", "pydantic")
    from spyglass_server.engine.models.stores.index import INDEX_FILE, index_of, write_index

    folder: Path = arguments.folder
    path = folder / INDEX_FILE
    index = index_of(folder)
    write_whole(path, write_index(index))
    files = sum(len(version.files) for version in index.models)
    print(f"{path}: versions: {len(index.models)}, files: {files}")
    return 0
