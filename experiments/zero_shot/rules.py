"""Rejection rules: what makes a candidate worth writing, each a score whose cut is chosen on other relations.

A rule is fitted on candidates of relations that the deciding model's own are not among, and applied to those of a fold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from experiments.zero_shot.candidates import Candidates

Scores = NDArray[np.float64]
Rule = Callable[[Candidates], Scores]


class Fit(Protocol):
    """Makes a rule of candidates whose outcomes are known."""

    def __call__(self, known: Candidates) -> Rule:
        """Return the rule."""


class _Classifier(Protocol):
    def fit(self, features: NDArray[np.float64], right: NDArray[np.bool_]) -> object: ...
    def predict_proba(self, features: NDArray[np.float64]) -> NDArray[np.float64]: ...


def global_threshold(known: Candidates) -> Rule:
    """One threshold on the similarity."""
    return lambda candidates: candidates.judged.similarity


def relation_threshold(known: Candidates) -> Rule:
    """A threshold for each relation: so many deviations above the mean of its similarities over unlabelled text."""
    return lambda candidates: (candidates.judged.similarity - candidates.level_mean) / candidates.level_deviation


def margin(known: Candidates) -> Rule:
    """The distance to the runner-up among relations, alone."""
    return lambda candidates: candidates.margin


def nothing_in_words(known: Candidates) -> Rule:
    """The distance to the likeliest prototype of nothing that is made from text."""
    return lambda candidates: candidates.judged.similarity - candidates.nothing[:, 0]


def nothing_learned(known: Candidates) -> Rule:
    """The distance to the likeliest prototype that was learned from pairs that state nothing."""
    return lambda candidates: candidates.judged.similarity - candidates.nothing[:, 1]


def blend(known: Candidates) -> Rule:
    """Similarity, margin and both kinds of prototypes, weighed by logistic regression."""
    return _learned(known, LogisticRegression(max_iter=1000), _few)


def head(known: Candidates) -> Rule:
    """A small rejection head: boosted trees over all features."""
    return _learned(known, HistGradientBoostingClassifier(max_leaf_nodes=8, max_iter=80, random_state=13), _all)


RULES: Final[Mapping[str, Fit]] = {
    "one threshold": global_threshold,
    "a threshold for each relation, from unlabelled text": relation_threshold,
    "margin to the runner-up": margin,
    "prototypes of nothing, from text": nothing_in_words,
    "prototypes of nothing, learned": nothing_learned,
    "similarity, margin and prototypes, weighed": blend,
    "rejection head": head,
}


def _learned(known: Candidates, classifier: _Classifier, features: Callable[[Candidates], NDArray[np.float64]]) -> Rule:
    model = make_pipeline(StandardScaler(), classifier).fit(features(known), known.judged.right)
    return lambda candidates: model.predict_proba(features(candidates))[:, 1]


def _few(candidates: Candidates) -> NDArray[np.float64]:
    return np.concatenate([np.stack([candidates.judged.similarity, candidates.margin], 1), candidates.nothing], 1)


def _all(candidates: Candidates) -> NDArray[np.float64]:
    levels = np.stack([candidates.level_mean, candidates.level_deviation], 1)
    return np.concatenate([_few(candidates), candidates.parts, levels], 1)
