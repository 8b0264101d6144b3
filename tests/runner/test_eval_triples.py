"""``zsre-eval --triples`` and ``--calibrate`` as commands, on a fake model whose scores can be worked out by hand."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from tests.runner.fakes import RELATIONS_YAML, FakeEngine, jsonl
from tests.runner.pages import first_cells, read_page, section
from zsre.relations.relation import OwnCalibration
from zsre.relations.relations_file import read_relations
from zsre.runner import eval_cli, eval_triples
from zsre.runner.entities import load_annotator
from zsre.runner.triple_metrics import Counted

cached_annotator = cache(load_annotator)
NAMES = ("Ann", "Bob", "Cyd", "Dee", "Eve", "Fay", "Gus", "Hal", "Ida", "Jon", "Kay", "Lee")


def record(number: int, text: str, stated: bool, types: tuple[str, str] = ("PERSON", "PERSON")) -> dict[str, object]:
    """A text about its first and its last word, which is complete for P112 and P26."""
    first, last = text.split(maxsplit=1)[0], text.rsplit(maxsplit=1)[-1].rstrip(".")
    spans = [(0, len(first)), (text.rindex(last), text.rindex(last) + len(last))]
    relation = "P112" if types[0] == "ORG" else "P26"
    return {
        "id": str(number),
        "text": text,
        "mentions": [{"start": start, "end": end, "type": own} for (start, end), own in zip(spans, types, strict=True)],
        "pairs": [{"head": 0, "tail": 1, "relations": [relation] if stated else []}],
        "complete": ["P112", "P26"],
    }


def texts() -> list[dict[str, object]]:
    """Weddings that are labelled, weddings that are not, and meetings, of which only some are right."""
    records = []
    for number in range(60):
        one, other = NAMES[number % 12], NAMES[(number + 1 + number // 12) % 12]
        verb, stated = (("married", number % 10 != 0), ("met", number % 10 == 1))[number % 3 == 2]
        records.append(record(number, f"{one} {verb} {other}.", stated))
    founded = [f"Acme was founded by {name}." for name in NAMES[:3]]
    return [*records, *(record(100 + number, text, True, ("ORG", "PERSON")) for number, text in enumerate(founded))]


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(eval_triples, "load_scorer", lambda *arguments: FakeEngine(seen=("P26",)))
    monkeypatch.setattr(eval_triples, "load_annotator", cached_annotator)
    Path("data.jsonl").write_bytes(jsonl(texts()))
    Path("relations.yaml").write_text("# Mine.\n" + RELATIONS_YAML)


def run(*arguments: str) -> int:
    return eval_cli.main([*arguments, "--relations", "relations.yaml"])


def triples(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert run("--triples", "--data", "data.jsonl", "--json", *arguments) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run(*arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    return said.err.removeprefix("zsre-eval: error: ").rstrip("\n")


def test_what_is_written_is_judged(capsys: pytest.CaptureFixture[str]) -> None:
    found = triples(capsys, "--per-class")
    weddings = [number for number in range(60) if number % 3 != 2]
    right = [number for number in weddings if number % 10]
    missed = [number for number in range(60) if number % 3 == 2 and number % 10 == 1]
    assert (found["measured_texts"], found["entities"], found["relations"]) == (63, "given", 2)
    assert (found["written"], found["facts"], found["undecided"]) == (
        len(weddings) + 3,
        len(right) + len(missed) + 3,
        0,
    )
    precision, recall = (len(right) + 3) / (len(weddings) + 3), (len(right) + 3) / (len(right) + len(missed) + 3)
    assert found["micro"] == {
        "precision": round(100 * precision, 2),
        "recall": round(100 * recall, 2),
        "f1": round(200 * precision * recall / (precision + recall), 2),
    }
    own = found["per_class"]["P112"]  # type: ignore[index]
    assert (own["written"], own["right"], own["found"], own["facts"], own["f1"]) == (3, 3, 3, 3, 100.0)
    assert (found["seen"], found["without_facts"], found["training_data"]) == (["P26"], [], [])
    assert found["calibration_error"] == pytest.approx(100 * abs(0.8174 - 0.9), abs=15)


def test_what_a_person_sees(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--triples", "--data", "data.jsonl", "--per-class") == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith("fake: 63 texts, the labels' entities, 2 relations, ")
    assert lines[1] == "  43 triples written, not counting 0 that nobody decided on"
    assert lines[2] == "  41 facts stated, 41 of them between two mentions of one sentence"
    assert any(re.fullmatch(r"micro +90\.70 +95\.12 +92\.86", line) for line in lines)
    assert any(line.startswith("one threshold, the best for these labels (0.") for line in lines)
    assert any(re.fullmatch(r"P26 +spouse +90\.00 +94\.74 +92\.31 +40 +38 +yes", line) for line in lines)
    assert sum(line.startswith("expected calibration error 0.") for line in lines) == 2


def test_a_threshold_and_a_pipeline_change_what_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert triples(capsys, "--threshold", "0.9")["written"] == 0
    found = triples(capsys, "--entities", "spacy")
    assert found["entities"] == "spacy"
    assert int(str(found["reachable"])) < int(str(found["facts"])), "spaCy doesn't know all of these names"


def test_texts_of_the_training_data_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Path("seen.jsonl").write_bytes(jsonl(texts()[:1] + texts()[1:2]))
    found = triples(capsys, "--training-data", "seen.jsonl")
    assert (found["measured_texts"], found["shared_texts"], found["training_data"]) == (61, 2, ["seen.jsonl"])
    assert refused(capsys, "--triples", "--data", "seen.jsonl", "--training-data", "seen.jsonl") == (
        "seen.jsonl: all 2 texts are among the training data (seen.jsonl): measure on other data"
    )


def test_a_part_of_the_relations(capsys: pytest.CaptureFixture[str]) -> None:
    Path("split.json").write_text(json.dumps({"train": ["P26"], "eval": ["P112"], "test": []}))
    assert triples(capsys, "--split", "split.json")["facts"] == 3


def calibrated(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert run("--calibrate", "data.jsonl", "-o", "new.yaml", "--json", *arguments) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_calibration_writes_a_file_that_says_what_the_labels_say(capsys: pytest.CaptureFixture[str]) -> None:
    found = calibrated(capsys, "--log", "log.jsonl")
    written = read_relations(Path("new.yaml"))
    assert Path("new.yaml").read_text().startswith("# Mine.\n")
    assert written.calibration == OwnCalibration("f" * 32, round(found["slope"], 6), round(found["intercept"], 6))  # type: ignore[call-overload]
    assert found["thresholds"] == {relation.id: relation.threshold for relation in written}
    assert (found["fitted_texts"], found["data"], found["without_labels"]) == (63, "data.jsonl", [])
    assert json.loads(Path("log.jsonl").read_text()) == found
    assert run("--triples", "--data", "data.jsonl", "--json") == 0
    old = json.loads(capsys.readouterr().out)
    assert eval_cli.main(["--triples", "--data", "data.jsonl", "--relations", "new.yaml", "--json"]) == 0
    new = json.loads(capsys.readouterr().out)
    assert new["calibration_error"] < old["calibration_error"]


def test_a_file_that_was_calibrated_for_another_model_can_be_fitted_again(capsys: pytest.CaptureFixture[str]) -> None:
    plain = calibrated(capsys)
    old = Path("new.yaml").read_text().replace("f" * 32, "0123")
    Path("relations.yaml").write_text(old)
    assert "its scores are those of the model '0123'" in refused(capsys, "--triples", "--data", "data.jsonl")
    again = calibrated(capsys)
    assert {**again, "date": None} == {**plain, "date": None}
    assert Path("new.yaml").read_text() == old.replace("0123", "f" * 32)


def test_a_target_precision_that_can_be_met(capsys: pytest.CaptureFixture[str]) -> None:
    loose, strict = calibrated(capsys, "--target-precision", "0.5"), calibrated(capsys, "--target-precision", "0.85")
    assert loose["cut"] < strict["cut"]  # type: ignore[operator]
    assert strict["after"]["precision"] > 80  # type: ignore[index]
    assert calibrated(capsys, "--threshold", "0.3")["cut"] == 0.3


@pytest.mark.parametrize("flags", [["-o", "data.jsonl"], ["-o", "n.yaml", "--log", "n.yaml"]])
def test_labels_are_not_replaced_by_what_they_give(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    labels = Path("data.jsonl").read_bytes()
    assert "is a file that this command reads or writes" in refused(capsys, "--calibrate", "data.jsonl", *flags)
    assert Path("data.jsonl").read_bytes() == labels and not Path("n.yaml").exists()


def test_every_field_of_the_logs_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    page = read_page("eval.md")
    shared = first_cells(section(page, "Test relations and the log"))
    for title, found in (
        ("The log of triples", triples(capsys, "--per-class")),
        ("The log of a calibration", calibrated(capsys)),
    ):
        described = first_cells(section(page, title))
        assert described <= set(found) <= described | shared, title


def test_what_a_person_sees_of_a_calibration(capsys: pytest.CaptureFixture[str]) -> None:
    Path("relations.yaml").write_text(RELATIONS_YAML + "  - {id: P19, name: born in, description: where}\n")
    assert run("--calibrate", "data.jsonl", "-o", "new.yaml") == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert re.fullmatch(r"fake: fitted to 63 texts, \d+ candidates, 41 of them right", lines[0])
    assert any(re.fullmatch(r"before( +\d+\.\d\d){3} +0\.\d{3}", line) for line in lines)
    assert any(re.fullmatch(r"after( +\d+\.\d\d){3} +0\.\d{3}", line) for line in lines)
    assert any(line.startswith("new.yaml: thresholds from 0.") for line in lines)
    assert lines[-1] == "  without a label, so with what the others gave (1): P19"


def test_labels_that_were_no_candidate_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert (calibrated(capsys)["labels"], calibrated(capsys)["unmet_labels"]) == (41, 0)
    assert run("--calibrate", "data.jsonl", "-o", "new.yaml") == 0
    assert "no candidate" not in capsys.readouterr().out
    # A pair of persons is none that this file allows to have been founded.
    odd = [record(200 + number, f"Ann met {name}.", True) for number, name in enumerate(NAMES[1:])]
    for each in odd:
        each["pairs"] = [{"head": 0, "tail": 1, "relations": [], "looked_for": ["P112", "P19"]}]
    Path("data.jsonl").write_bytes(jsonl([*texts(), *odd]))
    found = calibrated(capsys)
    assert (found["labels"], found["unmet_labels"]) == (52, 11)
    assert run("--calibrate", "data.jsonl", "-o", "new.yaml") == 0
    told = (
        "11 of 52 labelled pairs and relations were no candidate: give the --spacy-model, --max-relations and model "
        "that the triples were extracted with, and check types"
    )
    assert told in " ".join(capsys.readouterr().out.split())
    Path("odd.jsonl").write_bytes(jsonl([*texts()[:2], *odd]))
    error = refused(capsys, "--calibrate", "odd.jsonl", "-o", "n.yaml")
    assert "too few to fit anything to" in error and error.endswith("\n" + told.replace("of 52", "of 12"))


def test_a_target_that_other_text_misses_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["--calibrate", "data.jsonl", "-o", "new.yaml", "--target-precision", "0.5"]
    assert run(*flags) == 0
    assert "less was right" not in capsys.readouterr().out
    counted = Counted.micro
    poor = property(lambda own: replace(counted.__get__(own), precision=0.4286))
    monkeypatch.setattr(Counted, "micro", poor)
    assert run(*flags) == 0
    assert "less was right than the 50.00 asked for: label more" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give labelled data: --data FILE to measure on, or --calibrate FILE to fit thresholds to"),
        (["--data", "data.jsonl", "--calibrate", "data.jsonl", "-o", "n.yaml"], "give labelled data: --data FILE to"),
        (["--data", "data.jsonl", "-o", "n.yaml"], "--output n.yaml: is for --calibrate FILE"),
        (["--data", "data.jsonl", "--target-precision", "0.9"], "--target-precision 0.9: is for --calibrate FILE"),
        (["--data", "data.jsonl", "--entities", "both"], "--entities both: is for triples: give --triples"),
        (["--data", "data.jsonl", "--threshold", "0.5"], "--threshold 0.5: is for triples: give --triples"),
        (["--data", "data.jsonl", "--triples", "--per-relation", "5"], "--per-relation 5: is for pairs"),
        (["--data", "data.jsonl", "--triples", "--max-relations", "0"], "--max-relations 0: must be at least 1"),
        (["--calibrate", "data.jsonl"], "--calibrate: where the relations file goes is missing: give -o FILE"),
        (["--calibrate", "data.jsonl", "-o", "n.yaml", "--seed", "-1"], "--seed -1: must be at least 0"),
        (["--calibrate", "none.jsonl", "-o", "n.yaml"], "none.jsonl: there is no such file"),
        (
            ["--calibrate", "data.jsonl", "-o", "n.yaml", "--target-precision", "1.0"],
            "--target-precision 1.0: must lie",
        ),
        (
            ["--calibrate", "data.jsonl", "-o", "n.yaml", "--target-precision", "0.9", "--threshold", "0.5"],
            "--target-precision chooses the thresholds, and so does --threshold: give one of them",
        ),
        (
            ["--calibrate", "data.jsonl", "-o", "n.yaml", "--per-class"],
            "--per-class: is for measuring, and --calibrate",
        ),
        (["--calibrate", "few.jsonl", "-o", "n.yaml"], "1 right and 1 wrong candidates are too few to fit anything to"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [record(1, "Ann married Bob.", True), record(2, "Cyd met Dee.", False)]
    Path("few.jsonl").write_bytes(jsonl(few))
    assert refused(capsys, *arguments).startswith(message)
    assert not Path("n.yaml").exists()


def test_the_catalogue_is_not_written_to(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--calibrate", "data.jsonl", "-o", "n.yaml", "--relations", "wikidata:P26"]
    assert eval_cli.main(flags) == 2
    assert "--relations wikidata:P26: --calibrate writes a copy of a relations file" in capsys.readouterr().err


def test_labels_of_other_relations(capsys: pytest.CaptureFixture[str]) -> None:
    Path("relations.yaml").write_text("relations: [{name: spouse, description: the person this person married}]\n")
    assert refused(capsys, "--triples", "--data", "data.jsonl") == (
        "the labels decide on none of the 1 relations (spouse); they know P112, P26: give relations with these ids"
    )


@pytest.mark.parametrize("flags", ["--triples --data data.jsonl", "--calibrate data.jsonl -o new.yaml"])
def test_data_without_any_labels(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    unlabelled = {**record(1, "Ann married Bob.", False), "complete": []}
    Path("data.jsonl").write_bytes(jsonl([unlabelled, {**unlabelled, "pairs": []}]))
    assert refused(capsys, *flags.split()).startswith(
        "data.jsonl: nothing in it is labelled: no pair states a relation, and nothing says which were looked for: give"
    )


def test_a_type_that_nothing_has(capsys: pytest.CaptureFixture[str]) -> None:
    Path("relations.yaml").write_text(RELATIONS_YAML.replace("ORG", "ORGANISATION"))
    assert "unknown entity type" in refused(capsys, "--triples", "--data", "data.jsonl")
