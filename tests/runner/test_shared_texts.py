from __future__ import annotations

import io
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from zsre.runner.output import parquet_bytes
from zsre.runner.shared_texts import SHARED, SharedTexts, open_writer, texts_of

PLAIN = pa.schema([pa.field("n", pa.int64(), nullable=False), ("text", pa.string())], metadata={"zsre": "{}"})
HELD = PLAIN.set(1, pa.field("text", SHARED))


def _held(texts: list[str | None]) -> pa.Table:
    return pa.table([list(range(len(texts))), SharedTexts(texts).column()], schema=HELD)


def _plain(texts: list[str | None]) -> pa.Table:
    return pa.table([list(range(len(texts))), texts], schema=PLAIN)


def test_texts_are_gathered_row_by_row_and_held_once() -> None:
    texts = SharedTexts(["a", None])
    texts.extend(["b", "a"])
    column = texts.column()
    assert column.type == SHARED and column.to_pylist() == ["a", None, "b", "a"]
    assert column.dictionary.to_pylist() == ["a", "b"]


@pytest.mark.parametrize("kind", [SHARED, pa.string()])
def test_rows_share_a_string_that_is_read_back(kind: pa.DataType) -> None:
    column = pa.chunked_array([["long", None, "long"], [], [None], ["other", "long"]], type=kind)
    found = texts_of(column)
    assert found == ["long", None, "long", None, "other", "long"]
    assert found[0] is found[2]


@pytest.mark.parametrize("texts", [["a", None, "", "a", "é"], [None, None], []])
def test_a_file_is_what_plain_strings_would_make_it(texts: list[str | None], tmp_path: Path) -> None:
    pq.write_table(_plain(texts), tmp_path / "plain", compression="zstd")
    (tmp_path / "held").write_bytes(parquet_bytes(_held(texts)))
    plain, held = (pq.ParquetFile(tmp_path / name) for name in ("plain", "held"))
    assert held.schema_arrow.equals(plain.schema_arrow, check_metadata=True)
    assert held.schema.equals(plain.schema)
    assert held.metadata.metadata == plain.metadata.metadata
    assert held.metadata.num_row_groups == plain.metadata.num_row_groups
    assert held.read().equals(plain.read())


def test_what_is_written_down_later_is_added(tmp_path: Path) -> None:
    with open_writer(tmp_path / "table", HELD, "zstd", use_dictionary=["text"]) as writer:
        writer.write_table(_held(["a"]))
        writer.add_key_value_metadata({"more": "1"})
    found = pq.read_metadata(tmp_path / "table").metadata
    assert (found[b"zsre"], found[b"more"]) == (b"{}", b"1")
    assert pq.read_table(tmp_path / "table").schema.field("text").type == pa.string()


def test_a_long_text_is_written_once_from_however_many_tables_its_rows_come() -> None:
    # Beyond 1 MiB of texts, Arrow gives each row its own where they come as plain strings.
    texts = [random.Random(seed).randbytes(350_000).hex() for seed in range(3)]
    rows = [texts[number % 3] for number in range(60)]
    table = pa.concat_tables([_held(rows), _held(rows[1:]), _held([None])])
    content = parquet_bytes(table)
    assert len(content) < 1_200_000, "hexadecimal digits take half as much, compressed"
    assert pq.read_table(io.BytesIO(content))["text"].to_pylist() == [*rows, *rows[1:], None]
