from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.interrupting import assert_interrupted
from tests.runner.fakes import FakeEngine, jsonl
from tests.runner.streams import assert_ends
from zsre.relations.errors import ModelError, OutputError
from zsre.runner import eval_command, eval_log
from zsre.runner.eval_cli import main
from zsre.runner.scorer import Scorer, load_scorer

RELATIONS = """\
relations:
  - {id: P112, name: founded by, description: who founded this organisation}
  - {id: P26, name: spouse, description: the person this person married}
  - {id: P19, name: place of birth, description: where this person was born}
"""
#: What no two measurements have in common.
TIMES = ("seconds", "pairs_per_second")
TEXTS = {"P112": "Acme was founded by Ann.", "P26": "Ann once married Bob.", "P19": "Bob was born in Rome."}


def record(number: int, text: str, *relations: str) -> dict[str, object]:
    mentions = [{"start": 0, "end": 3}, {"start": len(text) - 4, "end": len(text) - 1}]
    return {
        "id": str(number), "text": text, "mentions": mentions,
        "pairs": [{"head": 0, "tail": 1, "relations": list(relations)}],
    }  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with data, relations and a split, where every model is the fake one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eval_command, "load_scorer", fake_scorer)
    records = [record(number, f"{number} {TEXTS[relation]}", relation) for number in range(10) for relation in TEXTS]
    records.append(record(99, TEXTS["P112"], "P26"))
    records.append(record(98, TEXTS["P112"]))
    Path("data.jsonl").write_bytes(jsonl(records))
    Path("relations.yaml").write_text(RELATIONS, encoding="utf-8")
    write_split(train=["P112"], eval=["P26", "P19"], test=[])
    return tmp_path


def fake_scorer(path: Path | None, device: str, threads: int | None) -> Scorer:
    return FakeEngine(seen=("P26",))


def write_split(**parts: list[str]) -> None:
    Path("split.json").write_text(json.dumps(parts), encoding="utf-8")


def run(*arguments: str) -> int:
    return main(["--data", "data.jsonl", "--relations", "relations.yaml", *arguments])


def refused(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    assert run(*arguments) == code
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.removeprefix("zsre-eval: error: ").rstrip("\n")


def never(*arguments: object) -> Scorer:
    raise AssertionError("this is refused before a model is loaded")


def test_what_a_person_sees(capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    said = capsys.readouterr()
    lines = [line.rstrip() for line in said.out.splitlines()]
    assert re.fullmatch(r"  scored in \d+\.\d s on CPU: [\d,]+ pairs a second", lines.pop(2))
    assert lines == [
        "fake: 31 pairs, each classified among 3 relations",
        "  not measured: 1 pairs that state no relation",
        "",
        "                              precision  recall     F1",
        "macro, as in the paper            96.97   96.97  96.97",
        "macro F1, as in scikit-learn                     96.83",
        "",
        "the model was trained on 1 relations of some",
        "zero-shot, so not trained on under any known name: 2 of 3 relations",
        "  not zero-shot, trained on (1): P26 spouse",
        "measured sentences may have been trained on; --training-data FILE leaves such sentences out",
    ]
    assert said.err == "", "progress is for terminals"


def test_each_relation_is_shown_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--per-class") == 0
    assert re.search(r"^P26 +spouse +100.00 +90.91 +95.24 +11 +yes *$", capsys.readouterr().out, re.MULTILINE)


def test_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--per-class", "--split", "split.json", "--per-relation", "4", "--seed", "5") == 0
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found.pop("date"))
    expected = {
        "zsre": version("zsre"), "commit": eval_log.current_commit(),
        "data": "data.jsonl", "texts": "relations.yaml", "split": "split",
        "part": "eval", "per_relation": 4, "seed": 5, "model": "fake", "relations": 2, "pairs": 8, "seen": ["P26"],
    }  # fmt: skip
    assert found | expected == found
    assert set(found["per_class"]) == {"P26", "P19"}
    assert (found["device"], found["threads"], found["training_data"]) == ("CPU", None, [])
    assert found["seconds"] >= 0 and found["pairs_per_second"] > 0


def test_progress_on_a_terminal_leaves_the_output_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval_command, "Console", lambda **options: Console(force_terminal=True, **options))
    assert run("--json") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["pairs"] == 31
    assert "measured 31 pairs" in said.err


def test_without_split_and_draw_the_line_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [found[name] for name in ("split", "part", "per_relation", "seed")] == [None] * 4
    assert "per_class" not in found


def test_the_log_grows_by_the_line_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--json", "--log", "log.jsonl") == run("--log", "log.jsonl") == 0
    first, second = Path("log.jsonl").read_text(encoding="utf-8").splitlines()
    assert capsys.readouterr().out.splitlines()[0] == first
    assert json.loads(second)["f1"] == json.loads(first)["f1"] == 96.97


@pytest.mark.parametrize("log", [".", "missing/log.jsonl"])
def test_a_log_that_cannot_be_written_is_said_before_anything_is_measured(
    log: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval_command, "load_scorer", never)
    assert refused(capsys, "--log", log, code=4).startswith(f"--log {log}: cannot be written: ")


@pytest.mark.parametrize("log", ["data.jsonl", "relations.yaml", "link.jsonl", "again/data.jsonl"])
def test_what_is_read_is_no_log(log: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval_command, "load_scorer", never)
    Path("link.jsonl").symlink_to("data.jsonl")
    Path("again").symlink_to(Path.cwd())
    before = {name: Path(name).read_bytes() for name in ("data.jsonl", "relations.yaml")}
    assert refused(capsys, "--log", log) == (
        f"--log {log}: is a file that this command reads or writes: give it one of its own"
    )
    assert before == {name: Path(name).read_bytes() for name in before}


@pytest.mark.usefixtures("locked")
@pytest.mark.parametrize(("log", "why"), [("locked/log", "Permission denied"), ("circle", "Too many levels of symb")])
def test_a_log_that_leads_nowhere(log: str, why: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("circle").symlink_to("circle")
    assert refused(capsys, "--log", log, code=4).startswith(f"--log {log}: cannot be written: {why}")


def test_a_log_that_takes_no_more_in_the_end_costs_no_figures(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    append = eval_command.append

    def full(log: Path, text: str) -> None:
        append(log, "")
        if text:
            raise OutputError("--log log.jsonl: cannot be written: No space left on device")

    monkeypatch.setattr(eval_command, "append", full)
    assert run("--json", "--log", "log.jsonl") == 4
    said = capsys.readouterr()
    assert json.loads(said.out)["f1"] == 96.97 and "No space left on device" in said.err


def test_a_line_that_was_cut_short_does_not_take_the_next_one_with_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("log.jsonl").write_text('{"f1": 9', encoding="utf-8")
    assert run("--log", "log.jsonl") == 0
    cut, whole = Path("log.jsonl").read_text(encoding="utf-8").splitlines()
    assert cut == '{"f1": 9' and json.loads(whole)["f1"] == 96.97


def test_test_relations_demand_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    write_split(train=["P112"], eval=["P26"], test=["P19"])
    assert refused(capsys, "--split", "split.json", "--part", "test") == (
        "--part test: test relations are for reporting, never for choosing, so each measurement is logged: "
        "give --log FILE"
    )
    assert run("--split", "split.json", "--part", "test", "--log", "log.jsonl") == 0
    assert json.loads(Path("log.jsonl").read_text(encoding="utf-8"))["part"] == "test"


def test_the_part_decides_what_is_chosen_among(capsys: pytest.CaptureFixture[str]) -> None:
    for part, relations in (("train", 1), ("eval", 2)):
        assert run("--split", "split.json", "--part", part, "--json") == 0
        assert json.loads(capsys.readouterr().out)["relations"] == relations


def test_a_sample_gives_the_same_figures_again(capsys: pytest.CaptureFixture[str]) -> None:
    lines = []
    for seed in (1, 1, 2, 3, 4, 5):
        assert run("--json", "--per-relation", "5", "--seed", str(seed)) == 0
        lines.append({**json.loads(capsys.readouterr().out), **dict.fromkeys(("date", "seed", *TIMES))})
    assert lines[0] == lines[1]
    assert {line["pairs"] for line in lines} == {15}
    assert {line["passed"]["beyond"] for line in lines} == {16}
    assert len({line["f1"] for line in lines}) == 2, "the pair that the model gets wrong is in some samples only"


def write_training(name: str, *stated: tuple[str, str]) -> None:
    Path(name).write_bytes(jsonl(record(number, text, relation) for number, (text, relation) in enumerate(stated)))


def test_sentences_of_the_training_data_are_left_out_before_the_draw(capsys: pytest.CaptureFixture[str]) -> None:
    """The model has seen P26 alone, so a sentence that states another relation was not trained on."""
    write_training("a.jsonl", (f"1 {TEXTS['P19']}".upper(), "P26"), (f"2 {TEXTS['P19']}", "P19"))
    write_training("b.jsonl", (f"3  {TEXTS['P19']}", "P26"))
    training = ("--training-data", "a.jsonl", "--training-data", "b.jsonl", "--training-format", "zsre")
    assert run(*training, "--json", "--per-relation", "8", "--log", "log.jsonl") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["training_data"], found["passed"]["shared"]) == (["a.jsonl", "b.jsonl"], 2)
    assert (found["pairs"], found["passed"]["beyond"]) == (24, 31 - 2 - 24)
    assert run(*training) == 0
    assert "  not measured: 2 pairs in sentences of the training data (a.jsonl, b.jsonl)\n" in capsys.readouterr().out


def test_the_measured_file_may_be_training_data_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Only sentences that state the one seen relation, or none, were trained on; all pairs of P26 are among them."""
    assert run("--training-data", "data.jsonl", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pairs"], found["passed"]["shared"], found["without_pairs"]) == (20, 11, ["P26"])


def test_a_file_that_the_model_was_not_trained_on_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_training("a.jsonl", (TEXTS["P26"], "P26"))
    write_training("b.jsonl", (TEXTS["P19"], "P19"))
    assert refused(capsys, "--training-data", "a.jsonl", "--training-data", "b.jsonl", "--log", "log.jsonl") == (
        "--training-data b.jsonl: no sentence states one of the 1 relations that fake was trained on (P26); give the "
        "files that it was trained on"
    )
    assert Path("log.jsonl").read_text(encoding="utf-8") == ""


def test_data_whose_every_sentence_was_trained_on(capsys: pytest.CaptureFixture[str]) -> None:
    write_training("data.jsonl", (TEXTS["P26"], "P26"))
    assert refused(capsys, "--training-data", "data.jsonl") == (
        "all 1 pairs that could be measured stand in sentences of the training data (data.jsonl); measure on other "
        "data, or without --training-data"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--per-relation", "0"], "--per-relation 0: must be at least 1"),
        (["--threads", "-1"], "--threads -1: must be at least 1"),
        (
            ["--training-format", "fewrel"],
            "--training-format fewrel: is the format of training data, and there is none: give --training-data FILE",
        ),
        (["--training-data", "none.jsonl"], "none.jsonl: there is no such file; check the path"),
        (
            ["--training-data", "relations.yaml"],
            "relations.yaml: is in no format that is known here; name its format with --training-format (zsre",
        ),
        (
            ["--training-data", "data.jsonl", "--training-format", "csv"],
            '--training-format: there is no format "csv"; give one of zsre, fewrel',
        ),
        (["--part", "eval"], "--part eval: is a part of a split, and there is none: give --split FILE"),
        (["--relations", "none.yaml"], "none.yaml: "),
        (["--relations", "none.json"], "none.json: there is no such file; check the path"),
        (["--data", "none.jsonl"], "none.jsonl: there is no such file; check the path"),
        (["--data", "."], ".: is a directory; name a file in it"),
        (
            ["--data", "relations.yaml"],
            "relations.yaml: is in no format that is known here; name its format with --format (zsre",
        ),
        (["--format", "csv"], '--format: there is no format "csv"; give one of zsre, fewrel'),
        (["--split", "none.json"], "none.json: there is no such file; check the path"),
        (
            ["--split", "split.json", "--part", "test", "--log", "log.jsonl"],
            "split.json: has no relations in its part 'test': give another --part",
        ),
        (
            ["--split", "split.json", "--relations", "one.yaml"],
            "one.yaml: describes no P26, P19, which split.json asks",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_before_a_model_is_loaded(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(eval_command, "load_scorer", never)
    Path("one.yaml").write_text("relations: [{name: capital, description: the capital of this country}]\n")
    assert refused(capsys, *arguments).startswith(message)


def test_data_without_any_of_the_relations(capsys: pytest.CaptureFixture[str]) -> None:
    Path("own.yaml").write_text("relations: [{name: spouse, description: the person this person married}]\n")
    assert refused(capsys, "--relations", "own.yaml") == (
        "no pair of the data states exactly one of the 1 relations (spouse); it states P26, P112, P19: give relations "
        "with these ids"
    )


def test_broken_data_is_named_by_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Path("data.jsonl").open("a", encoding="utf-8") as file:
        file.write("{oops\n")
    assert refused(capsys).startswith("data.jsonl, line 33: is not JSON")


def test_a_model_that_cannot_be_loaded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def fail(*arguments: object) -> Scorer:
        asked.extend(arguments)
        raise ModelError("other.onnx: no such model file; make one with zsre-export")

    monkeypatch.setattr(eval_command, "load_scorer", fail)
    assert refused(capsys, "other.onnx", "--device", "cpu", "--threads", "2") == (
        "other.onnx: no such model file; make one with zsre-export"
    )
    assert asked == [Path("other.onnx"), "cpu", 2]
    assert main(["--data", "data.jsonl", "--relations", "relations.yaml"]) == 2
    assert asked[3:] == [None, "auto", None], "without a model, the one that ships"


def test_ctrl_c_leaves_no_line_in_the_log(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(eval_command, "evaluate", stop)
    assert run("--log", "log.jsonl") == 130
    assert capsys.readouterr().err == "zsre-eval: interrupted; nothing was logged\n"
    assert Path("log.jsonl").read_text(encoding="utf-8") == ""


def test_ctrl_c_while_modules_load_is_heard_once_they_are_loaded() -> None:
    arguments = ["--data", "data.jsonl", "--relations", "relations.yaml"]
    told = "zsre-eval: interrupted; nothing was logged\n"
    assert_interrupted("zsre.runner.eval_cli", "onnxruntime", "zsre.runner.eval_command", arguments, told)


@pytest.mark.skipif(sys.platform == "win32", reason="the shell closes streams")
@pytest.mark.parametrize(
    ("streams", "code"),
    [
        (">&-", 0),
        (">/dev/full", 4),
        ("--json >/dev/full", 4),
        ("--per-class | true; exit ${PIPESTATUS[0]}", 0),
    ],
)
def test_standard_streams_that_are_closed_or_full_are_told(streams: str, code: int) -> None:
    assert_ends("eval_cli", ["--data", "data.jsonl", "--relations", "relations.yaml"], streams, code)


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert (main(["--version"]), capsys.readouterr().out) == (0, f"zsre {version('zsre')}\n")


def measured(model: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    files = ["--data", str(data / "labelled.jsonl"), "--relations", str(data / "relations.yaml")]
    assert main([str(model), *files, "--json", "--per-class"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_run_directory_has_the_figures_of_its_export(
    tiny_runs: Callable[[str], Path],
    tiny_model: Path,
    tiny_data: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(eval_command, "load_scorer", load_scorer)
    exported, run = (measured(model, tiny_data, capsys) for model in (tiny_model, tiny_runs("shared")))
    for line in (exported, run):
        assert (line["pairs"], line["relations"], line["seen"]) == (240, 6, ["author", "born", "crosses", "founder"])
        assert line["seen_data"] == ["labelled"]
    alone = dict.fromkeys(("date", "fingerprint", *TIMES))
    assert {**exported, **alone} == {**run, **alone}
    assert exported["confusion_pairs"] and exported["confusable"], "confusions are logged for both"
    assert sum(scores["f1"] > 0 for scores in exported["per_class"].values()) > 2, "it tells some of them apart"
