"""The relation side (eqs. 5–7): texts through a frozen sentence encoder, once per run.

Shape suffixes: V phrasings, R relations, D width; the axis of 3 is head, tail, context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from zsre.relations.errors import ModelError
from zsre.relations.relation import Relation, without_ends, without_terms
from zsre.relations.relation_texts import relation_texts
from zsre.relations.vectors import scale_blocks
from zsre.trainer.config import TextConfig
from zsre.trainer.encoders import DAMAGED, first_line, hide_loading, resolve_encoder


class Adapter(Protocol):
    """What vectors of relation texts go through; see `zsre.trainer.relation_adapter`."""

    def adapted(self, blocks_R3D: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (R, 3, D) of normalised blocks."""
        ...


class RelationEncoder:
    """A frozen Sentence-BERT whose weights are not among the model's parameters, with the adapter that goes with it."""

    def __init__(self, name: str, device: str = "cpu", adapter: Adapter | None = None) -> None:
        hide_loading()
        try:
            # Unsaid, the weights would be of whatever precision they are stored in.
            self.model = SentenceTransformer(
                resolve_encoder(name), device=device, trust_remote_code=False, model_kwargs={"dtype": "float32"}
            )
        except DAMAGED as error:
            raise ModelError(f"relation encoder {name!r} cannot be loaded: {first_line(error)}") from error
        check_pooling(name, self.model)
        # As the runner reads it: a description that says "[SEP]" means these five characters.
        self.model.tokenizer.split_special_tokens = True
        self.name = name
        self.adapter = adapter
        self._cache: dict[str, NDArray[np.float32]] = {}

    @property
    def width(self) -> int:
        """Return D."""
        return int(self.model.get_embedding_dimension() or 0)

    @property
    def transformer(self) -> nn.Module:
        """Return what turns tokens into states, without pooling."""
        module = self.model[0].auto_model
        assert isinstance(module, nn.Module)
        return module.eval()

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return mean-pooled, normalised vectors (N, D); a text is encoded once however often it is asked for."""
        fresh = list(dict.fromkeys(text for text in texts if text not in self._cache))
        if fresh:
            encoded = self.model.encode(fresh, normalize_embeddings=True, show_progress_bar=False)
            self._cache.update(zip(fresh, np.asarray(encoded, dtype=np.float32), strict=True))
        return np.stack([self._cache[text] for text in texts])

    def blocks(self, relations: Sequence[Relation], alpha: float) -> NDArray[np.float32]:
        """Return the scaled blocks (R, 3, D) of relations, adapted if there is an adapter."""
        texts = [relation_texts(relation) for relation in relations]
        parts = ([text.head for text in texts], [text.tail for text in texts], [text.description for text in texts])
        blocks = np.stack([self.vectors(part) for part in parts], axis=1)
        return _scaled(blocks if self.adapter is None else self.adapter.adapted(blocks), alpha)


def check_pooling(name: str, model: SentenceTransformer) -> None:
    """Raise ModelError unless sentence vectors are the mean of token states, as the exported graph computes them."""
    modules = [type(module).__name__ for module in model]
    plain = modules in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])
    if not plain or model[1].pooling_mode != "mean":
        found = f"{model[1].pooling_mode!r} pooling" if plain else ", ".join(modules)
        raise ModelError(
            f"relation encoder {name!r}: relation vectors are the mean of token states, and this one gives something "
            f"else ({found}); choose a Sentence-BERT with mean pooling"
        )


def check_widths(sentence_width: int, relations: RelationEncoder) -> None:
    """Raise ModelError unless both encoders are equally wide, as entity vectors are compared directly."""
    if sentence_width != relations.width:
        raise ModelError(
            f"the sentence encoder is {sentence_width} wide, the relation encoder {relations.name!r} "
            f"{relations.width}: entity vectors are compared directly, so choose two of one width"
        )


@dataclass(frozen=True)
class RelationTable:
    """The vectors of the seen relations in all their phrasings.

    ``phrasings`` is (K, V, R, 3, D). Along K, ends are described as the phrasing does, by their types alone, and by
    nothing. Along V, a relation has as many phrasings as ``counts``, (R,), says, and then none.
    """

    ids: tuple[str, ...]
    phrasings: Tensor
    counts: Tensor

    @property
    def given(self) -> Tensor:
        """Return where there is a phrasing, (V, R)."""
        return torch.arange(self.phrasings.shape[1], device=self.counts.device)[:, None] < self.counts

    def mean(self) -> Tensor:
        """Return the mean over phrasings, blocks rescaled to their length, (R, 3, D)."""
        blocks_VR3D = self.phrasings[0]
        scale = blocks_VR3D[0].norm(dim=-1, keepdim=True)
        mean = (blocks_VR3D * self.given[..., None, None]).sum(0) / self.counts[:, None, None]
        rescaled: Tensor = mean / mean.norm(dim=-1, keepdim=True).clamp_min(1e-12) * scale
        return rescaled

    def target(self, texts: TextConfig) -> Tensor:
        """Return where a model that trains as ``texts`` says looks for each relation, (R, 3, D)."""
        return self.mean() if texts.phrasings == "mean" else self.phrasings[0, 0]

    def sample(self, texts: TextConfig) -> Tensor:
        """Draw texts for each relation, as ``texts`` says, (R, 3, D)."""
        relations = len(self.ids)
        mixed = texts.phrasings == "mix"
        drawn_R3 = (torch.rand(relations, 3 if mixed else 1) * self.counts.cpu()[:, None]).long().expand(-1, 3)
        bare_R3 = (torch.rand(relations, 3 if mixed else 1) < texts.drop_terms).expand(-1, 3)
        how_R3 = bare_R3 * torch.randint(1, len(self.phrasings), bare_R3.shape)
        sampled: Tensor = self.phrasings[how_R3, drawn_R3, torch.arange(relations)[:, None], torch.arange(3)]
        return sampled if texts.noise == 0 else _noisy(sampled, texts.noise)


def build_table(
    ids: Sequence[str],
    phrasings: Sequence[Sequence[Relation]],
    encoder: RelationEncoder,
    alpha: float,
    device: torch.device,
) -> RelationTable:
    """Encode ``phrasings[r]``, the one or more versions of relation ``ids[r]``."""
    counts = [len(each) for each in phrasings]
    # What stands beyond a relation's own is never looked at.
    chosen = [[each[min(version, len(each) - 1)] for each in phrasings] for version in range(max(counts))]
    blocks = [
        [encoder.blocks([described(relation) for relation in version], alpha) for version in chosen]
        for described in (lambda relation: relation, without_terms, without_ends)
    ]
    return RelationTable(
        tuple(ids), torch.from_numpy(np.asarray(blocks)).to(device), torch.tensor(counts, device=device)
    )


def mean_blocks(relations: Sequence[Sequence[Relation]], encoder: RelationEncoder, alpha: float) -> NDArray[np.float32]:
    """Return the blocks (R, 3, D) of relations averaged over the phrasings of each."""
    table = build_table([each[0].id for each in relations], relations, encoder, alpha, torch.device("cpu"))
    return np.asarray(table.mean().numpy(), dtype=np.float32)


def _scaled(blocks_R3D: NDArray[np.float32], alpha: float) -> NDArray[np.float32]:
    head, tail, description = blocks_R3D.transpose(1, 0, 2)
    return scale_blocks(head, tail, description, alpha)


def _noisy(blocks_R3D: Tensor, noise: float) -> Tensor:
    """Add to each block a random vector of about ``noise`` times its length, and rescale it to that length."""
    length_R31 = blocks_R3D.norm(dim=-1, keepdim=True)
    added = torch.randn(blocks_R3D.shape).to(blocks_R3D) * length_R31 * (noise / blocks_R3D.shape[-1] ** 0.5)
    moved: Tensor = F.normalize(blocks_R3D + added, dim=-1) * length_R31
    return moved
