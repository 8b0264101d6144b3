"""A store other than the disk, for which Arrow's bridge to a file system in memory stands in."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import pytest
from pyarrow import fs

from zsre.runner.storage import file_system

on_posix = pytest.mark.skipif(os.name == "nt", reason="file names there hold neither question marks nor asterisks")
RECORDS = [{"text": "Ann married Bob."}, {"text": "Acme was founded by Dee."}] * 4


@pytest.fixture
def store() -> Iterator[str]:
    root = f"fsspec+memory://zsre-{uuid.uuid4().hex}"
    yield root
    system, path = file_system(root)
    if system.get_file_info(path).type != fs.FileType.NotFound:
        system.delete_dir(path)


def put(uri: str, content: bytes) -> None:
    system, path = file_system(uri)
    system.create_dir(path.rpartition("/")[0], recursive=True)
    with system.open_output_stream(path) as stream:
        stream.write(content)
