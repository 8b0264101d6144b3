from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch

from tests.exporter.exported_run import ExportedRun
from zsre.exporter.export import torch_outputs
from zsre.exporter.parity import (
    LIMITS,
    SENTENCES,
    Parity,
    check_parity,
    engine_outputs,
    mark_up,
    probe_inputs,
)
from zsre.exporter.precision import Precision
from zsre.relations.errors import ModelError
from zsre.relations.examples import Mention
from zsre.trainer.trained_run import TrainedRun, load_run


def test_an_export_in_fp32_is_the_model(either: ExportedRun) -> None:
    parity = either.exported.parity
    assert 0 <= parity.largest <= 1e-4
    assert parity.largest == max(parity.mentions, parity.contexts, parity.relations)
    assert parity.sentences == len(SENTENCES)


def test_there_is_a_limit_for_each_precision() -> None:
    assert set(LIMITS) == set(get_args(Precision)) and LIMITS["fp32"] == 1e-4


def _checked(run: TrainedRun, model: Path, precision: Precision) -> Parity:
    inputs = probe_inputs(run.tokenizer, run.tokens)
    expected = torch_outputs(run, run.relation_encoder(), inputs)
    return check_parity(model, precision, inputs, expected, "the torch model")


@pytest.mark.parametrize("precision", list(LIMITS))
def test_a_graph_that_computes_something_else_is_refused(precision: Precision, shared: ExportedRun) -> None:
    run = load_run(shared.run.directory)
    assert _checked(run, shared.exported.model, precision).largest <= 1e-4
    torch.manual_seed(0)
    torch.nn.init.normal_(run.model.context.weight)
    with pytest.raises(ModelError, match=f"differs from the torch model by .*, and {precision} explains no more than"):
        _checked(run, shared.exported.model, precision)


def test_an_adapter_that_moves_nothing_is_noticed(shared: ExportedRun) -> None:
    run = load_run(shared.run.directory)
    assert run.adapter is not None
    run.adapter.moves_NE.zero_()
    # The made-up model's moves are small.
    with pytest.raises(ModelError, match="differs from the torch model"):
        _checked(run, shared.exported.model, "fp32")


@pytest.mark.parametrize("place", ["mentions", "contexts", "relations"])
def test_vectors_that_are_no_numbers_are_refused(
    place: str, shared: ExportedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert math.isnan(replace(Parity(0.1, 0.1, 0.1, 5), **{place: math.nan}).largest)
    inputs = probe_inputs(shared.run.tokenizer, shared.run.tokens)
    expected = engine_outputs(shared.engine, inputs)
    spoiled = getattr(expected, place).copy()
    spoiled.flat[0] = np.nan
    monkeypatch.setattr("zsre.exporter.parity.engine_outputs", lambda *_: replace(expected, **{place: spoiled}))
    with pytest.raises(ModelError, match="differs from the torch model by nan"):
        check_parity(shared.exported.model, "fp32", inputs, expected, "the torch model")


def test_mentions_are_read_from_brackets_and_paired_in_both_orders() -> None:
    sentence = mark_up("[[Ada]] met [[Bo]] in [[Caen]].")
    assert sentence.text == "Ada met Bo in Caen."
    assert sentence.mentions == (Mention(0, 3), Mention(8, 10), Mention(14, 18))
    assert sentence.pairs == ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1))
    assert all(len(mark_up(text).mentions) >= 2 for text in SENTENCES)
