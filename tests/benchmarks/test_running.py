from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.__main__ import check_same, chosen_rows, main, measure
from benchmarks.places import Places
from benchmarks.plan import Command, Figure, Row, Worker
from benchmarks.rows import ROWS
from benchmarks.running import PartyError, Settings, WorkerRunner, job, open_runners, run_whole
from measuring import gpu
from zsre.runner import engine
from zsre.runner.session import has_cuda_driver

SLOW_PART = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
folder.mkdir()
held = bytearray(80_000_000)
(folder / "part-00000.parquet").touch()
time.sleep(0.5)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(tmp_path, sys.executable)


def given(path: Path, count: int) -> Path:
    """Write a corpus of sentences with three entities, of growing length."""
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = "ada bo cleo" + " the" * number
            spans = [(0, 3), (4, 6), (7, 11)]
            entities = [{"start": start, "end": end, "label": "PERSON"} for start, end in spans]
            pairs = [[head, tail] for head in range(3) for tail in range(3) if head != tail]
            file.write(json.dumps({"id": str(number), "text": text, "entities": entities, "pairs": pairs}) + "\n")
    return path


def test_a_worker_loads_once_and_works_in_turn(settings: Settings) -> None:
    worker = Worker("product", "matmul", {"library": "numpy", "sizes": [[64, 64, 64]], "seconds": 0})
    with open_runners(Row("r", "a", "i", Figure("flops", "GFLOP/s"), (worker,)), settings) as (runner,):
        first, second = runner.measure(), runner.measure()
        assert "numpy" in runner.facts
    assert first["passes"] == second["passes"] == 1
    assert first["flops"] == pytest.approx(2 * 64**3)
    assert first["own_seconds"] < first["seconds"]


def test_a_worker_that_breaks_is_named(settings: Settings, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PartyError, match="broken: it ended with exit code 1"):
        WorkerRunner(Worker("broken", "no_such_party", {}), settings)
    assert "no_such_party" in capfd.readouterr().err
    with pytest.raises(PartyError, match="cannot be started"):
        WorkerRunner(Worker("missing", "matmul", {}, zsre=False), Settings(settings.data, "no-such-python"))


def test_a_job_holds_paths_and_bounds(settings: Settings, tmp_path: Path) -> None:
    given(tmp_path / "given.jsonl", 1)
    worker = Worker("w", "m", {"corpus": "given.jsonl", "relations": "wikidata", "items": 64, "of": 2000})
    told = job(worker, Settings(tmp_path, "python", items=100))
    assert (told["corpus"], told["relations"]) == (str(tmp_path / "given.jsonl"), "wikidata")
    assert (told["items"], told["of"], told["threads"]) == (64, 100, 2)


def test_a_whole_command_is_timed_to_its_first_part(tmp_path: Path) -> None:
    out = tmp_path / "out"
    counts = run_whole([sys.executable, "-c", SLOW_PART, str(out)], out)
    again = run_whole([sys.executable, "-c", SLOW_PART, str(tmp_path / "more")], None)
    assert counts["seconds"] < again["seconds"] - 0.3
    assert again["seconds"] > 0.5
    assert again["peak_mb"] > 80


def test_a_command_that_fails_is_an_error() -> None:
    with pytest.raises(PartyError, match="exit code 3"):
        run_whole([sys.executable, "-c", "raise SystemExit(3)"], None)


def test_memory_of_children_counts() -> None:
    child = "held = bytearray(60_000_000); import time; time.sleep(0.4)"
    parent = f"import subprocess, sys; held = bytearray(60_000_000); subprocess.run([sys.executable, '-c', {child!r}])"
    assert run_whole([sys.executable, "-c", parent], None)["peak_mb"] > 120


def test_zsre_extract_is_run_as_a_whole(settings: Settings, tiny_model: Path) -> None:
    arguments = ("examples/corpus.jsonl", "--relations", "examples/relations.yaml", "-o", "{out}", "--quiet")
    command = Command("zsre", arguments, before=arguments)
    changed = Settings(settings.data, "python", model=tiny_model, items=3)
    with open_runners(Row("r", "a", "i", Figure("seconds", "s"), (command,)), changed) as (runner,):
        counts = runner.measure()
        assert runner.facts.keys() == {"before_seconds"}
    assert counts["documents"] == 3
    assert counts["seconds"] > 0


def test_records_are_drawn_evenly_by_length(tmp_path: Path) -> None:
    from benchmarks.protocol import read_records

    path = str(given(tmp_path / "given.jsonl", 12))
    assert [own["id"] for own in read_records({"corpus": path, "items": 3})] == ["0", "1", "2"]
    assert [own["id"] for own in read_records({"corpus": path, "items": 2, "of": 8})] == ["2", "6"]
    assert len(read_records({"corpus": path, "items": 20})) == 12


def test_zsre_scores_the_pairs_that_are_given(tmp_path: Path, tiny_model: Path, tiny_data: Path) -> None:
    from benchmarks.parties.zsre_given import prepare

    told: dict[str, Any] = {"corpus": str(given(tmp_path / "given.jsonl", 5)), "items": 4, "threads": 1}
    told |= {"relations": str(tiny_data / "relations.yaml"), "model": str(tiny_model)}
    counts = prepare({**told, "stage": "decide"}).run()
    # [CLS] ada bo cleo [SEP] and up to three more words; six relations.
    assert (counts["sentences"], counts["pairs"], counts["tokens"]) == (4, 24, 5 + 6 + 7 + 8)
    assert counts["score_flops"] == 6 * 32 * 24 * 6
    assert counts["own_seconds"] > 0
    assert prepare({**told, "stage": "encode"}).run()["triples"] == 0


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_pytorch_scores_the_same_pairs_in_the_same_batches(
    device: str, tmp_path: Path, tiny_model: Path, tiny_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.parties import zsre_given, zsre_torch

    graph = zsre_torch.TorchGraph
    monkeypatch.setattr(zsre_torch, "TorchGraph", lambda own, _: graph(own, torch.device("cpu")))
    tokens = {"cpu": engine.CPU_TOKENS, "cuda": engine.CUDA_TOKENS}
    # Whatever is changed is put back.
    for name in ("CPU_TOKENS", "CPU_WIDTHS"):
        monkeypatch.setattr(engine, name, getattr(engine, name))
    told: dict[str, Any] = {"corpus": str(given(tmp_path / "given.jsonl", 5)), "items": 5, "threads": 1}
    told |= {"relations": str(tiny_data / "relations.yaml"), "model": str(tiny_model), "stage": "decide"}
    ours = zsre_given.prepare(told)
    theirs = zsre_torch.prepare({**told, "device": device})
    counts, others = ours.run(), theirs.run()
    assert {name: others[name] for name in ("pairs", "tokens", "flops")} == {
        name: counts[name] for name in ("pairs", "tokens", "flops")
    }
    assert ours.facts["fingerprint"] == theirs.facts["fingerprint"]
    assert "torch" in theirs.facts and "onnxruntime" not in theirs.facts
    assert tokens[device] == engine.CPU_TOKENS


def test_means_are_of_the_tokens_that_count() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.parties.zsre_torch import means

    states = torch.tensor([[[1.0, 2.0], [3.0, 6.0], [100.0, 100.0]]])
    assert means(states, torch.tensor([[1, 1, 0]])).tolist() == [[2.0, 4.0]]


def test_zsre_reads_text_to_parquet(tiny_model: Path, tiny_data: Path) -> None:
    from benchmarks.parties.zsre_text import prepare

    told = {"corpus": "examples/corpus.jsonl", "items": 2, "threads": 1, "processes": 1, "model": str(tiny_model)}
    counts = prepare({**told, "relations": str(tiny_data / "relations.yaml")}).run()
    assert counts["documents"] == 2
    assert counts["scored_pairs"] > 0


def test_markers_stand_around_both_entities() -> None:
    pytest.importorskip("transformers")
    from benchmarks.parties.marked import marked

    record = {"text": "Ann met Bob.", "entities": [{"start": 0, "end": 3}, {"start": 8, "end": 11}]}
    assert marked(record, 1, 0).split() == (
        "[unused3] Ann [unused4] met [unused1] Bob [unused2] .".split()
    )  # fmt: skip


def test_rows_are_listed_and_unknown_ones_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = Places(tmp_path / "data", tmp_path / "results")
    assert main(["list"], places) == 0
    assert "glirel                not run" in capsys.readouterr().out
    assert main(["run", "--rows", "glirel,spaci"], places) == 2
    assert "there is no 'spaci'" in capsys.readouterr().err
    assert main(["run", "--model", "m.onnx"], places) == 2
    assert "--variant" in capsys.readouterr().err
    assert main(["run", "--rounds", "0"], places) == 2


def test_a_gpu_is_watched_while_a_party_uses_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(
        "product", "matmul", {"library": "numpy", "sizes": [[64, 64, 64]], "seconds": 1.5, "device": "cuda"}
    )
    row = Row("r", "a", "i", Figure("gpu_use", "%", clock=None), (worker,), gpu=True)
    monkeypatch.setattr(gpu, "QUERY", [sys.executable, "-c", "print('1200, 50')"])
    assert measure(row, 1, settings, {"variant": "cuda-fp16", "command": "", "machine": {}})["median"] == 50
    monkeypatch.setattr(gpu, "QUERY", ["there-is-no-such-command"])
    with pytest.raises(PartyError, match="product: gpu_use could not be measured"):
        measure(row, 1, settings, {"variant": "cuda-fp16", "command": "", "machine": {}})
    assert "the GPU is not watched" in caplog.text


def test_rows_of_a_gpu_are_asked_for_with_a_model_of_theirs(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert not any(row.gpu for row in chosen_rows(None)) and any(row.gpu for row in ROWS)
    assert main(["run", "--rows", "gpu"], places) == 2
    assert "--precision cuda-fp16" in capsys.readouterr().err
    assert main(["run", "--rows", "gpu,start"], places) == 2
    assert "by themselves" in capsys.readouterr().err


@pytest.mark.skipif(has_cuda_driver(), reason="there is a GPU")
def test_without_a_gpu_its_rows_are_named_and_not_measured(
    places: Places, tiny_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--rows", "gpu-use", "--items", "2", "--model", str(tiny_model)], places) == 3
    told = capfd.readouterr().err
    assert "no NVIDIA driver on this machine" in told and "not measured: gpu-use" in told


def test_work_that_is_not_the_same_is_told(caplog: pytest.LogCaptureFixture) -> None:
    row = Row("r", "a", "i", Figure("pairs", "pairs/s"), (), same="pairs")
    check_same(row, {"one": {"pairs": 24.0, "passes": 2.0}, "two": {"pairs": 12.0, "passes": 1.0}})
    assert not caplog.records
    check_same(row, {"one": {"pairs": 24.0, "passes": 2.0}, "two": {"pairs": 24.0}})
    assert "r: pairs differ: {'one': 12.0, 'two': 24.0}" in caplog.text


def test_a_try_is_not_recorded(places: Places, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--rows", "start", "--rounds", "1", "--items", "2"], places) == 0
    assert "target ≤ 5.00 s" in capsys.readouterr().out
    assert not places.results.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for zsre-extract is a shell script")
def test_what_is_kept_is_there_before_it_is_read(tmp_path: Path) -> None:
    log, stand_in = tmp_path / "log", tmp_path / "python"
    stand_in.write_text(f'#!/bin/sh\nshift 2\necho "$@" >> {log}\n', encoding="utf-8")
    stand_in.chmod(0o755)
    row = next(own for own in ROWS if own.name == "kept")
    with open_runners(row, Settings(tmp_path, "none", python=str(stand_in), items=7)) as runners:
        for runner in runners:
            runner.measure()
    saving, kept, text = [line.split() for line in log.read_text("utf-8").splitlines()]
    folder = saving[saving.index("--save-pairs") + 1]
    assert saving[:3] == [str(tmp_path / "text.jsonl"), "--relations", str(tmp_path / "ten.yaml")]
    assert kept[:3] == [folder, "--relations", "examples/relations.yaml"]
    assert text[:3] == [str(tmp_path / "text.jsonl"), "--relations", "examples/relations.yaml"]
    assert [own[-2:] == ["--limit", "7"] for own in (saving, kept, text)] == [True, False, True]
    assert len({own[own.index("-o") + 1] for own in (saving, kept, text)}) == 3
    assert not Path(folder).exists()
