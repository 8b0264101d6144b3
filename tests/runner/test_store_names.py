from __future__ import annotations

from pathlib import Path

import pytest

from zsre.relations.errors import UsageError
from zsre.runner.store_names import is_uri, readable, without_scheme, without_secrets

#: Names of stores as they are given, as people read them, and as they are written down.
SHOWN = [
    ("s3://KEY:SECRET@b/a%20b@c?region=eu", "s3://b/a b@c", "s3://b/a%20b@c?region=eu"),
    ("s3://KEY:SEC/RET+@b/c?region=eu", "s3://b/c", "s3://b/c?region=eu"),
    ("s3://b/me@home:x", "s3://b/me@home:x", "s3://b/me@home:x"),
    ("s3://b//c", "s3://b//c", "s3://b//c"),
    ("hdfs://me@host:9000/me@x", "hdfs://host:9000/me@x", "hdfs://host:9000/me@x"),
    ("hdfs://host:9000/me@x", "hdfs://host:9000/me@x", "hdfs://host:9000/me@x"),
    (
        "abfss://box:SECRET@own.dfs.core.windows.net/a?client_secret=SECRET&tenant_id=t&sig=SECRET",
        "abfss://box@own.dfs.core.windows.net/a",
        "abfss://box@own.dfs.core.windows.net/a?client_secret=***&tenant_id=t&sig=***",
    ),
    (
        "fsspec+sftp://me:SECRET@host/why?%20.jsonl",
        "fsspec+sftp://host/why?%20.jsonl",
        "fsspec+sftp://host/why?%20.jsonl",
    ),
    (
        "fsspec+https://me:SECRET@host/a b.jsonl?id=5&sig=SEC RET&X-Amz-Signature=SECRET",
        "fsspec+https://host/a b.jsonl?id=5&sig=***&X-Amz-Signature=***",
        "fsspec+https://host/a b.jsonl?id=5&sig=***&X-Amz-Signature=***",
    ),
    ("a:/me@x?sig=y", "a:/me@x?sig=y", "a:/me@x?sig=y"),
]


def test_what_is_a_uri() -> None:
    assert [is_uri(name) for name in ("s3://b/k", "fsspec+memory://x", "a.jsonl", "C:\\a", "C:/a", "-", "a:b")] == [
        True, True, False, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("file:///data/a.jsonl", "/data/a.jsonl"),
        ("file:///two%20words/%C3%A9?use_mmap=1", "/two words/é"),
        ("file:///data/**/*.jsonl", "/data/**/*.jsonl"),
        ("file", "file"),
        ("a/file:///b", "a/file:///b"),
        ("s3://bucket/key?a=b", "s3://bucket/key?a=b"),
        ("-", "-"),
    ],
)
def test_a_place_of_this_machine_may_be_named_as_one_of_a_store(name: str, path: str) -> None:
    assert Path(without_scheme(name)) == Path(path)


@pytest.mark.parametrize("name", ["file://", "file://host/data", "file://a.jsonl"])
def test_a_place_of_another_machine_is_told(name: str) -> None:
    with pytest.raises(UsageError, match="three slashes must stand before a path of this machine, as in file:///data"):
        without_scheme(name)


@pytest.mark.parametrize(("given", "read", "written"), SHOWN)
def test_names_are_shown_and_written_down_without_secrets(given: str, read: str, written: str) -> None:
    assert (readable(given), without_secrets(given)) == (read, written)
    assert without_secrets(written) == written
