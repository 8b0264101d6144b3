from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.exporter.exported_run import SENTENCES, ExportedRun, largest_difference
from zsre.exporter.files import save_model
from zsre.exporter.graph import RELATION_INPUTS, RELATION_OUTPUTS, SENTENCE_INPUTS, SENTENCE_OUTPUTS
from zsre.relations.catalogue import load_relations
from zsre.relations.contract import ADAPTED, BLOCKS
from zsre.relations.relation import RelationSet
from zsre.relations.tokens import EncoderInputs


@pytest.mark.parametrize("sentences", [(), (0,), (3,), (4, 4), (1, 0), tuple(range(5)) * 8])
def test_the_graph_gives_what_torch_gives_for_any_number_of_rows_mentions_and_pairs(
    either: ExportedRun, sentences: tuple[int, ...]
) -> None:
    inputs = either.inputs(*sentences)
    assert largest_difference(either.engine.run_graph(inputs), either.torch_vectors(inputs)) <= 1e-4


def test_one_row_with_one_pair(either: ExportedRun) -> None:
    whole = either.inputs(0)
    one = EncoderInputs(whole.input_ids[:1], whole.attention_mask[:1], whole.mentions[:2], whole.pairs[:1])
    mentions, contexts = either.engine.run_graph(one)
    assert mentions.shape == (2, 32) and contexts.shape == (1, 32)
    assert largest_difference((mentions, contexts), either.torch_vectors(one)) <= 1e-4


@pytest.mark.parametrize("sentence", range(len(SENTENCES)))
def test_a_sentence_alone_and_among_longer_ones_has_the_same_vectors(either: ExportedRun, sentence: int) -> None:
    alone = either.inputs(sentence)
    others = [index for index in range(len(SENTENCES)) if index != sentence]

    mentions, contexts = either.engine.run_graph(either.inputs(sentence, *others))
    padded = either.engine.run_graph(either.inputs(sentence, multiple_of=16))

    expected = either.engine.run_graph(alone)
    assert largest_difference((mentions[: len(alone.mentions)], contexts[: len(alone.pairs)]), expected) <= 1e-5
    assert largest_difference(padded, expected) <= 1e-5


def test_relation_vectors_are_those_of_the_relation_encoder(either: ExportedRun) -> None:
    relations = RelationSet(load_relations("wikidata").relations[:12])
    expected = either.run.relation_encoder().blocks(list(relations), either.run.config.model.alpha)

    np.testing.assert_allclose(either.engine.relation_vectors(relations), expected, atol=1e-4)
    for index, relation in enumerate(relations):
        alone = either.engine.relation_vectors(RelationSet((relation,)))
        np.testing.assert_allclose(alone[0], expected[index], atol=1e-4)


def test_inputs_and_outputs_are_named_and_sized_as_the_runner_expects(either: ExportedRun) -> None:
    sentences, relations = onnx.load(either.exported.model), onnx.load(either.exported.relations)
    adapts = either.run.adapter is not None
    for model, inputs, outputs in (
        (sentences, SENTENCE_INPUTS, SENTENCE_OUTPUTS),
        (relations, RELATION_INPUTS + (BLOCKS,) * adapts, RELATION_OUTPUTS + (ADAPTED,) * adapts),
    ):
        assert tuple(value.name for value in model.graph.input) == inputs
        assert tuple(value.name for value in model.graph.output) == outputs
        numbers = {BLOCKS: onnx.TensorProto.FLOAT}
        for value in model.graph.input:
            assert value.type.tensor_type.elem_type == numbers.get(value.name, onnx.TensorProto.INT64)
        assert {value.type.tensor_type.elem_type for value in model.graph.output} == {onnx.TensorProto.FLOAT}
    sizes = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*sentences.graph.input, *sentences.graph.output)
    }
    assert sizes == {
        "input_ids": ["rows", "tokens"],
        "attention_mask": ["rows", "tokens"],
        "mentions": ["mentions", 3],
        "pairs": ["pairs", 2],
        "mention_vectors": ["mentions", 32],
        "context_vectors": ["pairs", 32],
    }


def test_what_only_training_needs_is_not_exported(either: ExportedRun) -> None:
    """The classifier behind gradient reversal and the head of the contrastive loss."""
    names = {tensor.name for tensor in onnx.load(either.exported.model).graph.initializer}
    assert not any("classifier" in name or "contrast" in name for name in names)
    shapes = [tuple(tensor.dims) for tensor in onnx.load(either.exported.model).graph.initializer]
    assert (4, 32) not in shapes and (32, 4) not in shapes


def test_nothing_of_the_exporting_machine_travels(either: ExportedRun) -> None:
    """torch notes a stack trace, with the paths of source files, on every node."""
    for path in (either.exported.model, either.exported.relations):
        assert b".py" not in path.read_bytes()


def test_an_interruption_while_writing_leaves_the_file_that_was_there(
    shared: ExportedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    save_model(onnx.load(shared.exported.model), path)
    before = path.read_bytes()

    def cut_short(model: onnx.ModelProto, file: str, **options: object) -> None:
        Path(file).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(onnx, "save_model", cut_short)
    with pytest.raises(KeyboardInterrupt):
        save_model(onnx.ModelProto(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
