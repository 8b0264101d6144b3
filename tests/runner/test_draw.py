"""Drawing triples: each with the same chance, spread over the scores, and no more read than that takes."""

from __future__ import annotations

import errno
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runner.drawn import SPOUSE, make_run, make_triple, make_triples, renamed, table_of
from zsre.relations.errors import DataError, UsageError
from zsre.runner.draw import LEFT_OUT, draw, open_finished, spread_rows
from zsre.runner.storage import LocalFolder
from zsre.runner.triples import Triple


def drawn_of(path: Path, count: int, seed: int = 13, names: Sequence[str] = ()) -> list[Triple]:
    """Return what is drawn from a finished run."""
    return draw(open_finished(str(path)), count, seed, names).triples


def error_of(name: Path | str) -> str:
    with pytest.raises(DataError) as caught:
        open_finished(str(name))
    return str(caught.value)


@given(
    st.lists(st.lists(st.sampled_from([0, 1, 5000, 9999, 10_000, LEFT_OUT]), max_size=30), min_size=1, max_size=4),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_rows_are_taken_at_equal_steps_of_all_in_order_of_their_scores(
    parts: list[list[int]], count: int, seed: int
) -> None:
    levels = [np.asarray(part, dtype=np.uint16) for part in parts]
    flat = [level for part in parts for level in part]
    ranked = sorted((row for row, level in enumerate(flat) if level != LEFT_OUT), key=lambda row: flat[row])
    if not ranked:
        return
    rows = spread_rows(levels, count, random.Random(seed)).tolist()
    taken = min(count, len(ranked))
    start = random.Random(seed).random()
    assert rows == [ranked[int((start + number) * (len(ranked) / taken))] for number in range(taken)]
    assert len(set(rows)) == taken


def test_every_row_has_the_same_chance() -> None:
    levels = [np.asarray([1, 1, 1, 1, 1, 9000, 3], dtype=np.uint16), np.asarray([2, 1, 1], dtype=np.uint16)]
    found = Counter(row for seed in range(4_000) for row in spread_rows(levels, 3, random.Random(seed)).tolist())
    assert set(found) == set(range(10))
    assert all(0.27 < number / 4_000 < 0.33 for number in found.values())


def test_a_draw_is_spread_over_the_scores_and_shuffled(tmp_path: Path) -> None:
    triples = make_triples(300)
    run = make_run(tmp_path / "run", triples[:100], [], triples[100:])
    drawn = drawn_of(run, 30, seed=13)
    assert set(drawn) < set(triples)
    scores = [triple.score for triple in drawn]
    assert Counter(int(score * 30) for score in scores) == Counter(range(30)), "one of every thirtieth"
    assert scores != sorted(scores)
    assert drawn_of(run, 30, seed=13) == drawn
    assert drawn_of(run, 30, seed=14) != drawn


def test_of_few_triples_all_are_drawn(tmp_path: Path) -> None:
    triples = make_triples(7)
    assert sorted(drawn_of(make_run(tmp_path / "run", triples), 100), key=triples.index) == triples


@pytest.mark.parametrize("names", [["spouse"], ["P26"], ["SPOUSE", "p26"]])
def test_relations_are_chosen_by_name_or_id(tmp_path: Path, names: list[str]) -> None:
    married = make_triples(20, SPOUSE)
    run = make_run(tmp_path / "run", make_triples(50), married[:3], [*married[3:], make_triple(99)])
    drawn = drawn_of(run, 10, 13, names)
    assert len(drawn) == 10 and {triple.relation_id for triple in drawn} == {"P26"}
    assert Counter(int(triple.score * 10) for triple in drawn) == Counter(range(10))
    assert len(drawn_of(run, 1_000, 13, [*names, "founded by"])) == 71


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("spouze", "did you mean 'spouse'? "),
        ("P27", ""),
        ("found", "did you mean 'founded by'? "),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_a_relation_that_no_triple_has_is_told(tmp_path: Path, name: str, hint: str) -> None:
    run = make_run(tmp_path / "run", [make_triple(1), make_triple(2, relation=SPOUSE)])
    with pytest.raises(UsageError) as caught:
        drawn_of(run, 10, 13, ["P112", name])
    assert str(caught.value) == (
        f"--only {name}: no triple of {run} has a relation of that name or id: {hint}there are triples of "
        "founded by, spouse"
    )


def test_only_what_was_drawn_is_read_beside_the_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(tmp_path / "run", make_triples(40), make_triples(40), group_rows=10)
    read: list[tuple[str, ...]] = []

    class Watched(pq.ParquetFile):  # type: ignore[misc]
        def iter_batches(self, *args: Any, **options: Any) -> Any:
            read.append(tuple(options["columns"]))
            return super().iter_batches(*args, **options)

        def read_row_group(self, *args: Any, **options: Any) -> Any:
            read.append(("group",))
            return super().read_row_group(*args, **options)

    monkeypatch.setattr(pq, "ParquetFile", Watched)
    (one,) = drawn_of(run, 1, 13)
    assert isinstance(one, Triple)
    assert read == [("score",), ("score",), ("group",)]
    read.clear()
    drawn_of(run, 1, 13, ["P112"])
    assert read == [("score", "relation_id", "relation")] * 2 + [("group",)]


def test_the_last_row_group_of_a_part_is_reached(tmp_path: Path) -> None:
    triples = make_triples(25)
    run = make_run(tmp_path / "run", triples, group_rows=10)
    assert set(drawn_of(run, 25, 13)) == set(triples)


def test_a_run_without_triples_is_told(tmp_path: Path) -> None:
    for parts in ([], [[]]):
        run = make_run(tmp_path / "run", *parts)
        with pytest.raises(DataError, match="run: holds no triples, so there is none to draw"):
            drawn_of(run, 10, 13)


@pytest.mark.parametrize("count", [4, 6])
def test_a_run_that_lost_triples_or_has_others_is_told(tmp_path: Path, count: int) -> None:
    run = make_run(tmp_path / "run", make_triples(2), make_triples(3), counts={"triples": count})
    with pytest.raises(DataError) as caught:
        drawn_of(run, 10)
    assert str(caught.value).startswith(f"{run}: its parts hold 5 triples, and its run.json counts {count}: parts were")
    for part in run.glob("part-*"):
        part.unlink()
    with pytest.raises(DataError, match="its parts hold 0 triples"):
        drawn_of(run, 10)


def test_how_many_there_were_to_draw_from_is_known(tmp_path: Path) -> None:
    run = open_finished(str(make_run(tmp_path / "run", make_triples(20), make_triples(5, SPOUSE))))
    assert (draw(run, 7, 13).total, draw(run, 7, 13, ["spouse"]).total) == (25, 5)


@pytest.mark.parametrize("denied", ["part-00000.parquet", "the folder"])
def test_what_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, denied: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = open_finished(str(make_run(tmp_path / "run", [make_triple(1)])))

    def deny(*args: object) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(LocalFolder, "files" if denied == "the folder" else "open", deny)
    place = run.output.name if denied == "the folder" else str(tmp_path / "run" / denied)
    with pytest.raises(DataError) as caught:
        draw(run, 10, 13)
    assert str(caught.value) == f"{place}: cannot be read: Permission denied; change its permissions"


def test_a_finished_run_is_opened(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", [make_triple(1)])
    found = open_finished(f"file://{run}")
    assert (found.output.name, found.facts["relations_source"]) == (str(run), "relations.yaml")


def test_what_is_no_finished_run_is_told(tmp_path: Path) -> None:
    assert "there is no such folder" in error_of(tmp_path / "nothing")
    run = make_run(tmp_path / "run", [make_triple(1)])
    assert "is not a folder; name the one that zsre-extract wrote" in error_of(run / "part-00000.parquet")
    assert "is not the folder of a run of zsre-extract" in error_of(tmp_path)
    (tmp_path / "vectors.json").write_text("{}")
    assert "holds vectors and no triples" in error_of(tmp_path)
    for status in ("running", "stopped"):
        (run / "run.json").write_text(json.dumps({"zsre": "1", "status": status}))
        assert f"holds a run that has not finished (its status is '{status}')" in error_of(run)
    (run / "run.json").write_text("[]")
    assert "is not the folder of a run of zsre-extract" in error_of(run)


def test_a_store_that_nobody_knows_is_told() -> None:
    with pytest.raises(UsageError, match="cannot be opened"):
        open_finished("nonsense://bucket/x")


def damaged(name: str, table: pa.Table) -> pa.Table | bytes:
    index = table.column_names.index("score")
    changed = {
        "no Parquet": b"PAR1",
        "no score": table.remove_column(index),
        "a score of another type": table.set_column(index, "score", pa.array(["0.5"])),
        "scores that may be missing": table.set_column(index, "score", pa.array([0.5])),
        "two columns of a name": table.append_column(table.schema.field(index), table.column(index)),
    }
    return changed[name]


@pytest.mark.parametrize(
    "name",
    ["no Parquet", "no score", "a score of another type", "scores that may be missing", "two columns of a name"],
)
def test_a_part_that_is_none_is_told(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / "run", [make_triple(1)])
    part = run / "part-00000.parquet"
    content = damaged(name, table_of([make_triple(1)]))
    if isinstance(content, bytes):
        part.write_bytes(content)
    else:
        pq.write_table(content, part)
    with pytest.raises(DataError, match=r"part-00000.parquet: is damaged \(.+\); extract again"):
        drawn_of(run, 10, 13)


@pytest.mark.parametrize(
    "fields",
    [{"head_start": 5}, {"head_end": 99}, {"tail_start": 11}, {"tail": "Bob"}, {"head": "", "head_end": 10},
     {"sent_start": -10**18}],
)  # fmt: skip
def test_offsets_that_do_not_fit_are_told(tmp_path: Path, fields: dict[str, object]) -> None:
    run = make_run(tmp_path / "run", [renamed(make_triple(1), **fields)])
    with pytest.raises(DataError, match="the offsets of a triple don't fit its sentence"):
        drawn_of(run, 10, 13)


def test_text_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    table = table_of([make_triple(1)])
    bad = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(b"\0\0\0\0\2\0\0\0"), pa.py_buffer(b"\xff\xfe")])
    index = table.column_names.index("sentence")
    run = make_run(tmp_path / "run", [make_triple(1)])
    pq.write_table(table.set_column(index, table.schema.field(index), bad), run / "part-00000.parquet")
    with pytest.raises(DataError, match="is damaged"):
        drawn_of(run, 10, 13)


def test_scores_that_are_no_numbers_are_drawn_like_others(tmp_path: Path) -> None:
    odd = [make_triple(number, score) for number, score in enumerate([float("nan"), float("inf"), -1.0, 0.5])]
    drawn = drawn_of(make_run(tmp_path / "run", odd), 10)
    assert {triple.doc_id for triple in drawn} == {"d0", "d1", "d2", "d3"}
