from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zsre.relations.contract import (
    CONTRACT_KEY,
    CONTRACT_VERSION,
    READABLE_VERSIONS,
    RELATIONS_ROLE,
    ROLE_KEY,
    SENTENCES_ROLE,
    UNCALIBRATED,
    Calibration,
    Contract,
    read_contract,
)
from zsre.relations.errors import ModelError
from zsre.relations.tokens import TokenSettings

CONTRACT = Contract(
    name="größer",
    fingerprint="f" * 32,
    dimension=384,
    alpha=0.33,
    tokens=TokenSettings("marked", 128, 101, 102, 0, (1, 2, 3, 4)),
    calibration=Calibration(12.5, -7.25, 0.6, "folds of fewrel"),
    precision="fp16",
    encoder="some/encoder",
    relation_encoder="another/encoder",
    seen_relations=("P17", "P26"),
    seen_data=("fewrel", "redocred"),
)


def metadata(role: str = SENTENCES_ROLE, **changes: object) -> dict[str, str]:
    fields = json.loads(CONTRACT.to_json()) | changes
    return {
        CONTRACT_KEY: json.dumps({name: value for name, value in fields.items() if value is not ...}),
        ROLE_KEY: role,
    }


def message(found: dict[str, str], role: str = SENTENCES_ROLE, file: str = "model.onnx") -> str:
    with pytest.raises(ModelError) as caught:
        read_contract(found, role, file)
    return str(caught.value)


@pytest.mark.parametrize("role", [SENTENCES_ROLE, RELATIONS_ROLE])
def test_what_is_written_is_read(role: str) -> None:
    read = read_contract(metadata(role), role, "model.onnx")
    assert read == CONTRACT
    assert read.pairing == "marked"
    assert read.to_json() == CONTRACT.to_json()


@pytest.mark.parametrize("found", [{}, {"producer": "torch"}, {CONTRACT_KEY: CONTRACT.to_json()}])
def test_a_file_that_zsre_did_not_export(found: dict[str, str]) -> None:
    assert message(found, file="other.onnx") == (
        "other.onnx: not a zsre model: it carries no contract; make one with zsre-export"
    )


def test_a_newer_contract_asks_for_a_newer_zsre() -> None:
    found = metadata(version=CONTRACT_VERSION + 1, field_of_tomorrow=1)
    assert message(found) == "model.onnx: contract version 5, but this zsre reads 1 to 4: update zsre"


@pytest.mark.parametrize("version", READABLE_VERSIONS)
def test_contracts_that_say_the_same_are_read(version: int) -> None:
    assert read_contract(metadata(version=version), SENTENCES_ROLE, "model.onnx").version == version


def test_an_older_contract_asks_for_another_export() -> None:
    found = metadata(version=READABLE_VERSIONS[0] - 1)
    assert message(found) == (
        "model.onnx: contract version 0, but this zsre reads 1 to 4: export the model again with this zsre"
    )


def test_the_other_half_says_which_file_to_give() -> None:
    assert message(metadata(RELATIONS_ROLE), file="m/my.relations.onnx") == (
        "m/my.relations.onnx: this is the 'relations' half of a model, not the 'sentences' half: give m/my.onnx"
    )


@pytest.mark.parametrize(
    ("held", "wanted", "file"),
    [(RELATIONS_ROLE, SENTENCES_ROLE, "my.onnx"), (SENTENCES_ROLE, RELATIONS_ROLE, "my.relations.onnx")],
)
def test_swapped_halves_are_to_be_copied_again(held: str, wanted: str, file: str) -> None:
    assert message(metadata(held), wanted, file) == (
        f"{file}: this is the '{held}' half of a model, not the '{wanted}' half: "
        "copy both files again, each under its own name"
    )


@pytest.mark.parametrize("text", ["", "{", "[1]", "null", "{}", '{"version": null}', '{"version": "new"}'])
def test_a_contract_that_is_no_contract(text: str) -> None:
    found = message({CONTRACT_KEY: text, ROLE_KEY: SENTENCES_ROLE})
    assert found.startswith("model.onnx: its contract cannot be read (")
    assert found.endswith("); export the model again")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"tokens": ...}, "'tokens'"),
        ({"tokens": {"pairing": "shared"}}, "'markers'"),
        ({"dimension": ...}, "dimension"),
        ({"surplus": 1}, "surplus"),
        ({"calibration": {"slope": 1}}, "intercept"),
        ({"seen_relations": None}, "NoneType"),
        ({"tokens": [1]}, "list"),
    ],
)
def test_a_contract_with_wrong_fields(changes: dict[str, object], named: str) -> None:
    found = message(metadata(**changes))
    assert found.startswith("model.onnx: its contract is damaged (") and named in found
    assert found.endswith("); export the model again")


def test_the_metadata_of_a_foreign_onnx_file(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    ort = pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(name, kind, [1]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "foreign", ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "foreign.onnx")
    session = ort.InferenceSession(str(tmp_path / "foreign.onnx"), providers=["CPUExecutionProvider"])
    assert "not a zsre model" in message(dict(session.get_modelmeta().custom_metadata_map))


def test_a_probability_follows_the_similarity() -> None:
    calibration = Calibration(slope=10.0, intercept=-5.0)
    similarities = np.array([[0.5, 0.7], [0.3, 0.5]], dtype=np.float32)
    expected = [[0.5, 1 / (1 + np.exp(-2))], [1 / (1 + np.exp(2)), 0.5]]
    assert calibration.probability(similarities) == pytest.approx(np.array(expected), abs=1e-6)


#: Other packages may switch subnormal numbers off for the whole process.
figures = st.floats(-1e6, 1e6, allow_subnormal=False)


@given(figures, figures, figures)
@example(similarity=1.2e-38, slope=4.8e-293, intercept=0.0)
def test_a_probability_is_one_for_any_finite_figures(similarity: float, slope: float, intercept: float) -> None:
    with np.errstate(all="raise"):
        (probability,) = Calibration(slope, intercept).probability(np.array([similarity], dtype=np.float32))
    assert 0 <= probability <= 1


def test_an_uncalibrated_model_says_so() -> None:
    assert UNCALIBRATED.probability(np.array([0.5], dtype=np.float32)) == pytest.approx([0.5])
    assert "not calibrated" in UNCALIBRATED.fitted_on
