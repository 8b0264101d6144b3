from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.runner.fakes import BORN_IN, FOUNDED_BY, SPOUSE, FakeEngine, held_shard, jsonl, make_job, new_run, run_file
from zsre.relations.relation import RelationSet
from zsre.runner import batch as module
from zsre.runner.corpus import CutSettings, Shard, cut
from zsre.runner.counts import Counts
from zsre.runner.extract import extract
from zsre.runner.inputs import find_segments
from zsre.runner.records import RecordSettings
from zsre.runner.stages import process_shard
from zsre.runner.triples import METADATA_KEY

DOCUMENTS = [
    {"id": "d1", "text": "Ann founded Acme.  Ann married Bob. Ann ate.", "url": "u1"},
    {"text": "\U0001f600 Cy was born in Paris.\nAcme was founded by Dee."},
    {"id": 3, "text": "nothing here"},
    {"text": "Max knew Rome."},
]


def _shard(*lines: bytes) -> Shard:
    return held_shard(lines)


def _facts(table: pa.Table) -> list[tuple[str, str, str, str]]:
    return [(row["doc_id"], row["head"], row["relation"], row["tail"]) for row in table.to_pylist()]


def test_a_shard_becomes_triples(tmp_path: Path) -> None:
    result = process_shard(_shard(*jsonl(DOCUMENTS).splitlines()), make_job())
    assert _facts(result.table) == [
        ("d1", "Ann", "spouse", "Bob"),
        ("line-2", "Cy", "place of birth", "Paris"),
        ("line-2", "Acme", "founded by", "Dee"),
    ]
    assert result.rejects == ()


def test_a_row_says_where_and_why() -> None:
    result = process_shard(_shard(*jsonl(DOCUMENTS[1:2]).splitlines()), make_job(RelationSet((BORN_IN, FOUNDED_BY))))
    first = result.table.to_pylist()[0]
    assert first.pop("triple_id")
    assert first == {
        "doc_id": "line-1",
        "sent_start": 0,
        "sent_end": 23,
        "sentence": "\U0001f600 Cy was born in Paris.",
        "head": "Cy",
        "head_type": "PERSON",
        "head_start": 2,
        "head_end": 4,
        "relation_id": "P19",
        "relation": "place of birth",
        "tail": "Paris",
        "tail_type": "GPE",
        "tail_start": 17,
        "tail_end": 22,
        "score": 0.8174,
        "similarity": 0.9999,
        "similarity_head": 0.25,
        "similarity_tail": 0.25,
        "similarity_context": 0.4999,
        "margin": None,
    }


def test_offsets_reproduce_the_text_of_the_document() -> None:
    result = process_shard(_shard(*jsonl(DOCUMENTS).splitlines()), make_job(threshold=0.0))
    texts = {"d1": DOCUMENTS[0]["text"], "line-2": DOCUMENTS[1]["text"], "line-4": DOCUMENTS[3]["text"]}
    rows = result.table.to_pylist()
    assert len(rows) > 3
    for row in rows:
        text = str(texts[row["doc_id"]])
        assert text[row["head_start"] : row["head_end"]] == row["head"]
        assert text[row["tail_start"] : row["tail_end"]] == row["tail"]
        assert text[row["sent_start"] : row["sent_end"]] == row["sentence"]


def test_rows_come_by_document_sentence_head_tail_and_score() -> None:
    result = process_shard(_shard(*jsonl(DOCUMENTS).splitlines()), make_job(threshold=0.0))
    rows = result.table.to_pylist()
    order = ["d1", "line-2", "3", "line-4"]
    keys = [
        (order.index(row["doc_id"]), row["sent_start"], row["head_start"], row["tail_start"], -row["score"])
        for row in rows
    ]
    assert keys == sorted(keys)


def test_everything_is_counted() -> None:
    lines = [
        *jsonl(DOCUMENTS).splitlines(),
        b"",
        b"{",
        *jsonl(
            [
                {"id": "d1", "text": "Ann married.", "entities": [{"start": 0, "end": 3, "label": "PERSON"}] * 2},
                {"text": "\x00 married Bob. Ann", "entities": [
                    {"start": 0, "end": 1, "label": "PERSON"},
                    {"start": 10, "end": 13, "label": "PERSON"},
                    {"start": 10, "end": 12, "label": "PERSON"},
                    {"start": 10, "end": 18, "label": "PERSON"},
                ]},
            ]
        ).splitlines(),
    ]  # fmt: skip
    counts = process_shard(_shard(*lines), make_job()).counts
    assert (counts.shards, counts.lines, counts.blank_lines, counts.documents) == (1, 8, 1, 6)
    assert dict(counts.rejects) == {"not_json": 1}
    assert counts.repeated_ids == 1
    assert counts.given_entities == 2
    assert counts.sentences == 3 + 2 + 1 + 1 + 1 + 2
    assert counts.duplicate_mentions == 1
    assert counts.crossing_mentions == 1
    assert counts.overlapping_pairs == 2
    assert counts.tokenless_pairs == 4
    assert counts.triples == 3
    assert counts.types_seen == {"PERSON", "ORG", "GPE"}
    left_out = counts.overlapping_pairs + counts.same_name_pairs + counts.crowded_pairs + counts.unfitting_pairs
    assert counts.pairs == counts.scored_pairs + left_out + counts.long_pairs + counts.tokenless_pairs


def test_far_and_crowded_pairs_are_counted() -> None:
    text = "Ann and Bob and Cy and Dee married far away from Eve"
    counts = process_shard(_shard(*jsonl([{"text": text}])[:-1].splitlines()), make_job(max_mentions=3)).counts
    assert (counts.crowded_sentences, counts.crowded_pairs, counts.pairs) == (1, 12, 20)
    counts = process_shard(_shard(*jsonl([{"text": text}]).splitlines()), make_job(engine=FakeEngine(reach=25))).counts
    assert (counts.long_pairs, counts.cut_sentences) == (8, 1)


def test_mentions_of_one_fact_share_a_triple_id() -> None:
    texts = [{"id": "d", "text": "Ann married Bob. BOB married Ann. Ann married Cy."}]
    result = process_shard(_shard(*jsonl(texts).splitlines()), make_job(RelationSet((SPOUSE,))))
    ids = result.table["triple_id"].to_pylist()
    assert ids[0] == ids[1] != ids[2]
    assert (result.counts.triples, result.counts.facts) == (3, 2)


def test_kept_fields_become_columns() -> None:
    job = make_job(records=RecordSettings(keep=("url",)))
    table = process_shard(_shard(*jsonl(DOCUMENTS).splitlines()), job).table
    assert table["url"].to_pylist() == ["u1", None, None]
    assert table.column_names[-1] == "url"


def test_a_shard_without_triples_gives_an_empty_table_with_the_facts_of_the_run() -> None:
    table = process_shard(_shard(b"{"), make_job()).table
    assert table.num_rows == 0
    facts = json.loads(table.schema.metadata[METADATA_KEY])
    assert facts["schema"] == 1
    assert facts["model"] == {"name": "fake", "fingerprint": "f" * 32, "pairing": "shared"}
    assert facts["thresholds"] == {"P112": 0.5, "P26": 0.5, "P19": 0.5}
    assert facts["calibration"] == {"slope": 10.0, "intercept": -8.5}
    assert facts["versions"]["zsre"]


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    shard = _shard(*jsonl(DOCUMENTS * 5).splitlines())
    whole, engine = process_shard(shard, make_job(threshold=0.1)).table, FakeEngine()
    monkeypatch.setattr(module, "BATCH_PAIRS", 1)
    batched = process_shard(shard, make_job(engine=engine, threshold=0.1)).table
    assert batched.equals(whole)
    assert max(engine.batches) == 1


def test_sentences_without_pairs_are_not_encoded() -> None:
    engine = FakeEngine()
    process_shard(
        _shard(*jsonl([{"text": "nobody here. Ann ate. Rome and Paris."}]).splitlines()), make_job(engine=engine)
    )
    assert engine.batches == []


def test_every_form_of_a_corpus_gives_the_same_triples(tmp_path: Path) -> None:
    content = jsonl(DOCUMENTS * 4)
    forms = {
        "plain": content,
        "zipped": gzip.compress(content),
        "windows": content.replace(b"\n", b"\r\n"),
        "marked": b"\xef\xbb\xbf" + content,
        "open_ended": content[:-1],
    }
    tables = {}
    for name, data in forms.items():
        (tmp_path / name).write_bytes(data)
        results = run_file(tmp_path / name, make_job(), CutSettings(shard_lines=3))
        assert len(results) == 6
        tables[name] = pa.concat_tables(result.table for result in results)
    assert tables["plain"].num_rows == 12
    assert all(table.equals(tables["plain"]) for table in tables.values())


def test_the_size_of_shards_changes_nothing_but_the_parts(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(jsonl(DOCUMENTS * 4))
    tables = [
        pa.concat_tables(result.table for result in run_file(path, make_job(), CutSettings(shard_lines=size)))
        for size in (1, 5, 100)
    ]
    assert tables[0].equals(tables[1]) and tables[1].equals(tables[2])


def test_a_run_writes_a_part_for_each_shard_and_all_rejects(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(b"{\n" + jsonl(DOCUMENTS) + b"{\n")
    run, done = new_run(tmp_path / "out"), [0, 0]

    def advance(size: int, documents: int) -> None:
        done[0] += size
        done[1] += documents

    extract(cut(find_segments([str(path)]), CutSettings(shard_lines=2)), make_job(), run, advance)
    run.output.write_rejects(run.done)
    parts = sorted((tmp_path / "out").glob("part-*.parquet"))
    assert [pq.read_metadata(part).num_rows for part in parts] == [1, 2, 0]
    assert (run.counts.shards, run.counts.triples, run.counts.rejected) == (3, 3, 2)
    rejects = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert [(reject["file"], reject["line"]) for reject in rejects] == [(str(path), 1), (str(path), 6)]
    assert done == [path.stat().st_size, 4]


LINE = st.one_of(
    st.binary(max_size=30).map(lambda data: data.replace(b"\n", b"")),
    st.sampled_from([b"", b" \r", b"{", b"[]", b'{"text": "\\ud800"}', b'{"text": 1}', b"x" * 80, b"\xff"]),
    st.text(max_size=12).map(lambda text: json.dumps({"text": text + " Ann founded Acme."}).encode()),
)


@given(lines=st.lists(LINE, max_size=12), size=st.integers(1, 5), windows=st.booleans())
def test_each_line_is_a_document_or_a_reject_or_blank(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int, windows: bool
) -> None:
    path = tmp_path_factory.mktemp("corpus") / "corpus.jsonl"
    path.write_bytes(b"".join(line + (b"\r\n" if windows else b"\n") for line in [b"{}", *lines]))
    counts, rejects = Counts(), []
    for result in run_file(path, make_job(), CutSettings(shard_lines=size, max_line_bytes=70)):
        counts.add(result.counts)
        rejects.extend(result.rejects)
    assert counts.lines == len(lines) + 1
    assert counts.documents + counts.rejected + counts.blank_lines == counts.lines
    assert len(rejects) == counts.rejected
    assert len({reject.line for reject in rejects}) == len(rejects)
