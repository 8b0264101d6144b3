from __future__ import annotations

import io
import logging
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from tests.runner.fakes import new_run
from tests.runner.test_triples import a_triple
from zsre.runner import progress as progress_module
from zsre.runner.corpus import Place
from zsre.runner.counts import Counts
from zsre.runner.progress import RunProgress
from zsre.runner.report import RunSummary, summary_lines
from zsre.runner.shard_triples import ShardResult
from zsre.runner.shown import first_triples, triples_table
from zsre.runner.triples import triples_batch, triples_schema


def _summary(counts: Counts, **changes: tuple[str, ...]) -> list[str]:
    return list(summary_lines(RunSummary(counts, counts, 2.0, "CPU", "a-model", "corpus.triples", **changes)))


def test_the_summary_says_what_was_done_and_how_fast() -> None:
    counts = Counts(
        documents=1000, sentences=4000, mentions=9000, pairs=20000, scored_pairs=12000, triples=50, facts=40
    )
    assert _summary(counts) == [
        "50 triples (40 distinct facts) from 1,000 documents in 2.0 s",
        "  model      a-model on CPU",
        "  documents  1,000 (500.0/s)",
        "  sentences  4,000 (2,000.0/s)",
        "  mentions   9,000",
        "  pairs      20,000",
        "  scored     12,000 (6,000.0/s)",
        "  output     corpus.triples",
    ]


def test_speed_is_that_of_what_was_done_now() -> None:
    counts, fresh = Counts(documents=1000, sentences=4000, triples=50), Counts(documents=100, sentences=300, triples=2)
    lines = list(summary_lines(RunSummary(counts, fresh, 2.0, "CPU", "a-model", "out")))
    assert lines[0] == "50 triples (0 distinct facts) from 1,000 documents, 900 of them done before, in 2.0 s"
    assert "  documents  1,000 (50.0/s)" in lines
    assert "  sentences  4,000 (150.0/s)" in lines


def test_the_summary_leaves_out_no_loss() -> None:
    losses = {
        "unfitting_pairs": "2  pairs not scored: no relation allows their types",
        "overlapping_pairs": "3  pairs not scored: their mentions overlap",
        "same_name_pairs": "13  pairs not scored: their mentions read the same",
        "crowded_pairs": "4  pairs not scored: far apart in 9 crowded sentences",
        "long_pairs": "5  pairs not scored: further apart than the model reads",
        "tokenless_pairs": "6  pairs not scored: a mention has no token",
        "cut_sentences": "7  sentences longer than the model reads",
        "crossing_mentions": "8  mentions left out: they lie within no single sentence",
        "duplicate_mentions": "10  mentions left out: given twice",
        "repeated_ids": "11  documents (at least) with an id that came before",
        "blank_lines": "12  blank lines",
    }
    counts = Counts(lines=20, crowded_sentences=9, rejects=Counter(not_json=1, empty_text=3))
    for name, line in losses.items():
        setattr(counts, name, int(line.split()[0]))
    text = "\n".join(
        _summary(counts, unseen_types=("GPE", "ORG"), unnamed_types=("Firm", "Person"), missing_fields=("ulr",))
    )
    for line in losses.values():
        assert line in text
    assert "4  of 20 lines rejected: empty_text 3, not_json 1" in text
    assert "no entity had the type GPE, ORG, which the relations name" in text
    assert "entities had types that no relation names: Firm, Person\n" in text
    assert "no document had the field 'ulr' of --keep" in text


def test_few_triples_of_relations_in_own_words_ask_for_a_lower_threshold() -> None:
    assert not any("--threshold" in line for line in _summary(Counts(documents=1)))
    counts = Counts(documents=1)
    lines = list(summary_lines(RunSummary(counts, counts, 2.0, "CPU", "a-model", "out", lower_threshold=0.2)))
    assert lines[-2].endswith("look at what --threshold 0.2 gives")


def test_progress_is_logged_now_and_then_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    written = io.StringIO()
    with caplog.at_level(logging.INFO, "zsre"), RunProgress(Console(file=written), 100) as progress:
        for _ in range(8):
            now[0] += 10
            progress.advance(10, 500)
    assert [record.message for record in caplog.records] == ["1,500 documents, 50/s", "3,000 documents, 50/s"]
    assert written.getvalue().strip() == ""


def test_progress_of_a_run_that_goes_on_begins_where_it_was(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With ``as_log``, a terminal gets lines, too, and figures stand beside them."""
    now = [0.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=True)
    with caplog.at_level(logging.INFO, "zsre"), RunProgress(console, 200, done=100, as_log=True) as progress:
        now[0] = 40
        progress.advance(50, 800)
    (line,) = caplog.records
    assert (line.message, line.__dict__["zsre_fields"]) == (
        "800 documents, 20/s",
        {"documents": 800, "documents_per_second": 20.0, "share_done": 0.75},
    )
    written = io.StringIO()
    terminal = Console(file=written, force_terminal=True, width=120)
    with RunProgress(terminal, 200, done=100) as progress:
        progress.advance(50, 3)
        progress._bar.refresh()
    assert "75%" in written.getvalue()


def test_a_terminal_gets_a_bar(caplog: pytest.LogCaptureFixture) -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=120)
    with RunProgress(console, 100) as progress:
        progress.advance(50, 3)
        progress._bar.refresh()
    assert "50%" in written.getvalue()
    assert "3 documents" in written.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_nothing(terminal: bool, caplog: pytest.LogCaptureFixture) -> None:
    written = io.StringIO()
    with RunProgress(Console(file=written, force_terminal=terminal), 100, quiet=True) as progress:
        progress.advance(50, 3)
    assert written.getvalue() == ""


def test_the_first_triples_are_read_from_the_parts_and_shown(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    schema = triples_schema((), {})
    import pyarrow as pa

    for index, heads in enumerate((["Acme", "[red]Globex\x1b[0m"], [], ["Initech", "Hooli"])):
        batch = triples_batch([a_triple(head=head) for head in heads], schema)
        result = ShardResult(index, pa.Table.from_batches([batch]), (), Counts())
        run.commit(result, Place(0, index + 1, 1, 1, index, index + 1))
    rows = first_triples(run.output, 3)
    assert [row["head"] for row in rows] == ["Acme", "[red]Globex\x1b[0m", "Initech"]
    written = io.StringIO()
    Console(file=written, width=120).print(triples_table(rows, 120))
    lines = written.getvalue().splitlines()
    assert lines[0].split() == ["head", "relation", "tail", "score", "sentence"]
    assert lines[1].split() == ["Acme", "founded", "by", "Ann", "0.70", "Ann", "founded", "Acme."]
    assert "[red]Globex [0m" in written.getvalue(), "neither markup nor escape sequences of a corpus have an effect"
    assert "Hooli" not in written.getvalue()
    narrow = io.StringIO()
    Console(file=narrow, width=80).print(triples_table(rows, 80))
    assert narrow.getvalue().splitlines()[0].split() == ["head", "relation", "tail", "score"]
