import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from zsre.relations.errors import DataError
from zsre.relations.readers import read_labelled

Save: TypeAlias = Callable[..., Path]
Failure: TypeAlias = Callable[..., str]
OWN = {
    "id": "a",
    "text": "Ann Lee's firm, Acme, grew.",
    "mentions": [{"start": 16, "end": 20, "type": "ORG"}, {"start": 0, "end": 7}],
    "pairs": [{"head": 0, "tail": 1, "relations": ["P112"], "looked_for": ["P112", "P127"]}],
}


def test_windows_line_ends_byte_order_mark_and_blank_lines(save: Save) -> None:
    path = save("\ufeff" + json.dumps(OWN) + "\r\n\r\n" + json.dumps({**OWN, "id": "b"}) + "\r\n")
    assert [sentence.id for sentence in read_labelled(path)] == ["a", "b"]


def test_lines_are_streamed(save: Save) -> None:
    path = save(json.dumps(OWN) + "\nnot JSON\n")
    assert next(read_labelled(path)).id == "a"


def test_missing_file_and_directory_are_said_before_reading(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: there is no such file; check the path"):
        read_labelled(tmp_path / "gone.json")
    with pytest.raises(DataError, match="is a directory; name a file in it"):
        read_labelled(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_pipes_are_refused_before_anything_is_taken_out_of_them(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="pipe: is a pipe, and labelled data is read more than once; write it to a fi"):
        read_labelled(tmp_path / "pipe")


def test_truncated_gzip(save: Save, failure: Failure) -> None:
    lines = "".join(json.dumps({**OWN, "id": str(n)}) + "\n" for n in range(2000))
    packed = gzip.compress(lines.encode())
    message = failure(save(packed[: len(packed) // 2]), "zsre")
    assert message.startswith("FILE: the gzip data is damaged or cut short (")
    assert message.endswith("; fetch the file again")


def test_not_utf8_names_the_line(save: Save, failure: Failure) -> None:
    lines = json.dumps(OWN).encode() + b'\n{"id": "\xe9"}\n'
    assert failure(save(lines)) == "FILE, line 2: is not UTF-8: byte 0xe9; save the file as UTF-8"
    document = b'{"P1":\n[{"tokens": ["caf\xe9"]}]}'
    assert failure(save(document), "fewrel").startswith("FILE, line 2: is not UTF-8: byte 0xe9")


def test_broken_line_further_on_is_named(save: Save, failure: Failure) -> None:
    path = save(json.dumps(OWN) + "\n\n{'id': 1}\n")
    assert failure(path) == (
        "FILE, line 3: is not JSON: Expecting property name enclosed in double quotes at column 2, "
        "before \"'id': 1}\"; mend or remove it"
    )
