from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from zsre.relations.equivalents import equivalents_of
from zsre.relations.errors import ConfigError, ModelError
from zsre.relations.examples import LabelledPair, LabelledSentence, Mention
from zsre.relations.lock import FolderLock, HeldError
from zsre.relations.vectors import PairSentence
from zsre.trainer import folds
from zsre.trainer.checkpoint import is_finished, read_calibration, read_run
from zsre.trainer.config import TrainConfig
from zsre.trainer.data import read_sources
from zsre.trainer.folds import calibrate, crossed_error, deal_folds, fit_calibration, score_fold, train_fold
from zsre.trainer.loop import Status
from zsre.trainer.model import SentenceModel
from zsre.trainer.setup import load_texts
from zsre.trainer.trained_run import TrainedRun, load_run
from zsre.trainer.validate import encode_pairs

CPU = torch.device("cpu")
#: Parents and children, places within places, followers, and some that stand alone.
IDS = "P22 P25 P40 P17 P131 P150 P155 P156 P361 P527 P19 P26 P50 P57 P86 P106".split()


class TestDealFolds:
    @given(st.sets(st.sampled_from(IDS)), st.integers(2, 5), st.integers(0, 99))
    def test_deals_each_relation_once_and_equivalents_together(self, ids: set[str], count: int, seed: int) -> None:
        dealt = deal_folds(ids, count, seed)
        assert len(dealt) == count
        assert sorted(relation for fold in dealt for relation in fold) == sorted(ids)
        for fold in dealt:
            for relation in fold:
                assert ids & equivalents_of(relation) <= set(fold)

    def test_keeps_together_what_only_a_third_relation_joins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        same = {"a": {"c"}, "b": {"c"}, "c": {"a", "b"}}
        monkeypatch.setattr(folds, "equivalents_of", lambda relation, strength: same.get(relation, set()))
        for seed in range(5):
            assert any({"a", "b", "c"} <= set(fold) for fold in deal_folds("abcdef", 3, seed))

    def test_folds_are_of_like_size_and_depend_on_the_seed(self) -> None:
        alone = [f"made-up-{number}" for number in range(11)]
        one, same, other = (deal_folds(alone, 4, seed) for seed in (1, 1, 2))
        assert sorted(map(len, one)) == [2, 3, 3, 3]
        assert one == same != other
        assert deal_folds(reversed(alone), 4, 1) == one


class TestFitCalibration:
    def test_recovers_the_curve_that_made_the_sample(self) -> None:
        generator = np.random.default_rng(3)
        similarities = generator.uniform(0, 1, 40_000).astype(np.float32)
        correct = generator.uniform(size=40_000) < 1 / (1 + np.exp(-(12 * similarities - 7)))

        calibration = fit_calibration(similarities, correct)

        assert calibration.slope == pytest.approx(12, abs=0.5)
        assert calibration.intercept == pytest.approx(-7, abs=0.3)

    @pytest.mark.parametrize("correct", [True, False])
    def test_needs_right_and_wrong_triples(self, correct: bool) -> None:
        with pytest.raises(ConfigError, match="states none, or all, of the held-out relations: nothing to fit"):
            fit_calibration(np.linspace(0, 1, 9, dtype=np.float32), np.full(9, correct))

    def test_refuses_a_similarity_that_says_the_opposite(self) -> None:
        similarities = np.linspace(0, 1, 100, dtype=np.float32)
        with pytest.raises(ConfigError, match=r"does not tell right triples from wrong ones \(slope -"):
            fit_calibration(similarities, similarities < 0.4)


class TestCrossedError:
    @staticmethod
    def _fold(seed: int, shift: float = 0.0, count: int = 20_000) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return a fold of pairs of which as many are right as the curve with this ``shift`` says."""
        generator = np.random.default_rng(seed)
        similarities = generator.uniform(0, 1, count).astype(np.float32)
        return similarities, generator.uniform(size=count) < 1 / (1 + np.exp(-(12 * similarities - 7 - shift)))

    def _error(self, *folds: tuple[NDArray[np.float32], NDArray[np.bool_]]) -> float:
        told = crossed_error([fold[0] for fold in folds], [fold[1] for fold in folds])
        assert " pairs that score 0.1 or more, each fold by the others" in told
        return float(told.split()[3])

    def test_is_that_of_folds_that_the_calibration_has_not_seen(self) -> None:
        assert self._error(self._fold(1), self._fold(2), self._fold(3)) < 0.02
        # Fitted to all of them at once, as much would be too high as too low.
        assert self._error(self._fold(1, 1.0), self._fold(2, -1.0)) > 0.08

    def test_pairs_that_score_next_to_nothing_do_not_make_it_small(self) -> None:
        low = (np.full(1_000_000, -1.0, dtype=np.float32), np.zeros(1_000_000, dtype=np.bool_))
        apart = [self._fold(1, 1.0), self._fold(2, -1.0)]
        diluted = [tuple(np.concatenate(both) for both in zip(fold, low, strict=True)) for fold in apart]
        assert self._error(*diluted) == pytest.approx(self._error(*apart), abs=0.03)  # type: ignore[arg-type]

    def test_folds_that_say_nothing_have_none(self) -> None:
        wrong = (np.linspace(0, 1, 9, dtype=np.float32), np.zeros(9, dtype=np.bool_))
        assert crossed_error([wrong[0], wrong[0]], [wrong[1], wrong[1]]).startswith("no expected calibration error")


class TestScoreFold:
    def _sentence(self, relations: str, looked_for: str | None = None, head_type: str = "PERSON") -> LabelledSentence:
        asked = None if looked_for is None else frozenset(looked_for.split())
        pair = LabelledPair(0, 1, frozenset(relations.split()), asked)
        mentions = (Mention(0, 3, head_type), Mention(16, 22, "GPE"))
        return LabelledSentence("1", "made", "ada was born in avalon .", mentions, (pair,))

    def test_leaves_out_what_nobody_decided_on(self, tiny_runs: Callable[[str], Path]) -> None:
        labelled = [
            self._sentence("home"),
            self._sentence("born"),
            self._sentence("home", looked_for="home"),
            self._sentence("", looked_for="singer"),
            self._sentence("singer born"),
        ]

        similarities, correct = score_fold(tiny_runs("shared"), labelled, ("home", "singer", "founder"), CPU)

        # Nobody states "founder" here, so the text is not annotated with it. By pair: both, both, home, singer, both.
        assert correct.tolist() == [True, False, False, False, True, False, False, True]
        assert len(similarities) == 8 and np.ptp(similarities[[0, 2, 4, 6]]) <= 1e-6

    def test_scores_are_those_that_extraction_computes(self, tiny_runs: Callable[[str], Path]) -> None:
        run = load_run(tiny_runs("shared"))
        ((_, labelled),) = read_sources(run.config.data)

        similarities, correct = score_fold(run.directory, labelled[:12], ("home", "singer"), CPU)

        texts = load_texts(run.config.texts.sources)
        blocks = run.relation_encoder().blocks([*texts["home"], *texts["singer"]], run.config.model.alpha)
        sentences = [PairSentence(each.text, each.mentions, ((0, 1),)) for each in labelled[:12]]
        expected = encode_pairs(run.model, run.tokenizer, run.tokens, sentences).similarities(blocks).sum(-1)
        np.testing.assert_allclose(similarities.reshape(12, 2), expected, atol=1e-5)
        assert correct.reshape(12, 2).sum(0).tolist() == [2, 2]

    def test_scores_are_of_full_precision_on_a_gpu_too(
        self, tiny_runs: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        labelled = [self._sentence("home"), self._sentence("singer")]
        expected, _ = score_fold(tiny_runs("shared"), labelled, ("home", "singer"), CPU)
        encoder = load_run(tiny_runs("shared")).relation_encoder()
        # A processor stands in for the GPU.
        monkeypatch.setattr(SentenceModel, "to", lambda self, device: self)
        monkeypatch.setattr(TrainedRun, "relation_encoder", lambda self, device: encoder)
        similarities, _ = score_fold(tiny_runs("shared"), labelled, ("home", "singer"), torch.device("cuda"))
        np.testing.assert_array_equal(similarities, expected)

    def test_types_that_do_not_fit_are_left_out(
        self, tiny_runs: Callable[[str], Path], tmp_path: Path, tiny_data: Path
    ) -> None:
        run = Path(shutil.copytree(tiny_runs("shared"), tmp_path / "run"))
        text = (tiny_data / "relations.yaml").read_text(encoding="utf-8")
        typed = tmp_path / "typed.yaml"
        typed.write_text(text.replace("{name: home,", "{name: home, head: {types: [PERSON]},"), encoding="utf-8")
        config = (run / "config.yaml").read_text(encoding="utf-8")
        (run / "config.yaml").write_text(
            config.replace(str(tiny_data / "relations.yaml"), str(typed)), encoding="utf-8"
        )
        labelled = [self._sentence("home"), self._sentence("home", head_type="ORG")]
        assert len(score_fold(run, labelled, ("home",), CPU)[0]) == 1
        assert len(score_fold(tiny_runs("shared"), labelled, ("home",), CPU)[0]) == 2

    def test_nothing_comes_of_relations_that_are_not_annotated(self, tiny_runs: Callable[[str], Path]) -> None:
        similarities, correct = score_fold(tiny_runs("shared"), [self._sentence("born")], ("home",), CPU)
        assert len(similarities) == len(correct) == 0


class TestCalibrate:
    @pytest.fixture
    def config(self, tiny_config: Callable[..., TrainConfig], tiny_data: Path) -> TrainConfig:
        data = [{"path": str(tiny_data / "labelled.jsonl")}]
        optim = {"batch_size": 16, "learning_rate": 2e-3, "precision": "fp32"}
        return tiny_config(data=data, optim=optim, calibration={"data": data, "folds": 2, "threshold": 0.7})

    @pytest.fixture
    def run(self, tiny_runs: Callable[[str], Path], tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny_runs("shared"), tmp_path / "run"))

    def test_trains_without_each_fold_and_fits_what_the_folds_saw(
        self, config: TrainConfig, run: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fitted: list[tuple[np.ndarray, np.ndarray]] = []

        def recorded(similarities: np.ndarray, correct: np.ndarray) -> object:
            # Relations that a model this small has not seen are beyond it: what matters is what arrives here.
            fitted.append((similarities, correct))
            return fit_calibration(correct.astype(np.float32) + similarities, correct)

        monkeypatch.setattr(folds, "fit_calibration", recorded)
        shown: list[Status] = []

        calibration = calibrate(config, run, CPU, shown.append)

        seen = [set(read_run(run / "folds" / str(number))[1].seen_relations) for number in (0, 1)]
        assert [len(relations) for relations in seen] == [2, 2] and not seen[0] & seen[1]
        # First with all of them; for the error, without each.
        similarities, correct = fitted[0]
        # 240 annotated pairs against the two relations of each fold; each relation is stated by 40.
        assert len(similarities) == len(correct) == 2 * 240 * 2 and correct.sum() == 4 * 40
        assert calibration.threshold == 0.7
        assert calibration.fitted_on.startswith("960 pairs, relations of fitting types and phrasings of these, from ")
        assert "2 folds of relations held out, " in calibration.fitted_on
        assert read_calibration(run) == load_run(run).calibration == calibration
        assert shown

        # What is finished is not trained again.
        monkeypatch.setattr(folds, "fit", None)
        monkeypatch.setattr(folds, "prepare", None)
        assert calibrate(config, run, CPU, shown.append) == calibration

    def test_trains_no_fold_on_other_texts_than_the_run(
        self, config: TrainConfig, run: Path, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        texts = Path(shutil.copy(tiny_data / "relations.yaml", tmp_path / "relations.yaml"))
        other = replace(config, texts=replace(config.texts, sources=(str(texts),)))
        texts.write_text(texts.read_text(encoding="utf-8").replace("terms: [city]", "terms: [town]"), encoding="utf-8")
        with pytest.raises(ModelError, match="folds/0: its data or relation texts are not those that it, or the run"):
            calibrate(other, run, CPU, lambda status: None)
        assert not (run / "folds" / "0" / "model.safetensors").exists()

        # A run that does not say what it read.
        shutil.rmtree(run / "folds")
        (run / "data.sha256").unlink()
        monkeypatch.setattr(folds, "score_fold", lambda *arguments: (np.ones(2, np.float32), np.ones(2, np.bool_)))
        with pytest.raises(ConfigError, match="nothing to fit"):
            calibrate(other, run, CPU, lambda status: None)
        assert is_finished(run / "folds" / "1")

    def test_is_of_the_data_that_the_run_began_with(
        self, tiny_config: Callable[..., TrainConfig], tiny_data: Path, run: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = Path(shutil.copy(tiny_data / "labelled.jsonl", run / "dense.jsonl"))
        config = tiny_config(calibration={"data": [{"path": str(data)}], "folds": 2})
        scored = np.array([0.1, 0.9], dtype=np.float32), np.array([False, True])
        monkeypatch.setattr(folds, "train_fold", lambda *arguments: None)
        monkeypatch.setattr(folds, "score_fold", lambda *arguments: scored)
        calibrate(config, run, CPU, lambda status: None)
        before = (run / "calibration.json").read_bytes()
        data.write_text(data.read_text("utf-8").replace("GPE", "LOC"), "utf-8")
        with pytest.raises(ModelError, match=r"its calibration data or relation texts are .*calibration\.sha256 to"):
            calibrate(config, run, CPU, lambda status: None)
        assert (run / "calibration.json").read_bytes() == before

    def test_one_process_trains_a_fold_at_a_time(self, config: TrainConfig, tmp_path: Path) -> None:
        (tmp_path / "0").mkdir()
        with closing(FolderLock(tmp_path / "0")), pytest.raises(HeldError, match="0: another run is writing to it"):
            train_fold(config, tmp_path / "0", ("born",), CPU, lambda status: None)

    def test_what_a_killed_process_leaves_of_a_fold_hinders_none(
        self, config: TrainConfig, run: Path, tmp_path: Path
    ) -> None:
        (run / "checkpoint.safetensors").touch()
        train_fold(config, run, ("home",), CPU, lambda status: None)
        assert not (run / "checkpoint.safetensors").exists()
        (tmp_path / "0").mkdir()
        (tmp_path / "0" / "config.yaml.tmp").touch()
        train_fold(config, tmp_path / "0", ("born",), CPU, lambda status: None)
        assert is_finished(tmp_path / "0")

    def test_needs_data(self, tiny_config: Callable[..., TrainConfig], run: Path) -> None:
        with pytest.raises(ConfigError, match=r"needs densely annotated text: set calibration\.data"):
            calibrate(tiny_config(), run, CPU, lambda status: None)

    def test_needs_a_relation_for_each_fold(
        self, tiny_config: Callable[..., TrainConfig], config: TrainConfig, run: Path
    ) -> None:
        many = config.to_dict()["calibration"] | {"folds": 5}
        with pytest.raises(ConfigError, match=r"calibration\.folds: 5 folds are more than 4 relations"):
            calibrate(tiny_config(calibration=many), run, CPU, lambda status: None)
        assert not (run / "folds").exists()
