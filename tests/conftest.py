"""What several tests need: a tiny encoder, labelled sentences, and a run trained on them."""

from __future__ import annotations

import errno
import json
import logging
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from zsre.trainer.config import TrainConfig

# How long an example takes says more about what else the machine does than about the code.
settings.register_profile("zsre", deadline=None)
settings.load_profile("zsre")


def _refuse(monkeypatch: pytest.MonkeyPatch, **refused: Callable[[Path], bool]) -> None:
    """Let these methods of Path fail for some paths, as permissions do to all but root."""

    def wrapped(method: Callable[..., Any], is_refused: Callable[[Path], bool]) -> Callable[..., Any]:
        def call(path: Path, *arguments: Any, **options: Any) -> Any:
            if is_refused(path):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return method(path, *arguments, **options)

        return call

    for name, is_refused in refused.items():
        monkeypatch.setattr(Path, name, wrapped(getattr(Path, name), is_refused))


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody look at what is called or lies in ``locked``."""

    def inside(path: Path) -> bool:
        return "locked" in path.parts

    _refuse(monkeypatch, stat=inside, open=inside)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return a function after which nobody may read a file, though all may see that it is there."""
    return lambda file: _refuse(monkeypatch, open=lambda path: path == file)


WORDS = (
    "[PAD] [unused0] [unused1] [unused2] [unused3] [unused4] [UNK] [CLS] [SEP] [MASK] the a of in and was is by to "
    "born founded river crosses bridge company wrote novel sings lives works city person place thing entity types "
    "including who that this with from near large old new ada bo cleo dan eve finn gus hal ida jon kay lee mia "
    "avalon brent corin delta erith fulda gaunt hyth started author singer home name : , . ! ( )"
).split()
RELATIONS = {
    "born": "{h} was born in {t} .",
    "founder": "{h} was founded by {t} .",
    "author": "the novel {h} was by {t} the author .",
    "crosses": "the bridge {h} crosses the river {t} .",
    "home": "{h} lives in {t} near the old city .",
    "singer": "{h} is a singer from {t} and sings .",
}
NAMES = "ada bo cleo dan eve finn gus hal ida jon kay lee mia avalon brent corin delta erith fulda gaunt hyth".split()


@pytest.fixture(autouse=True, scope="session")
def heard_interrupts() -> None:
    """Let commands that tests start hear of Ctrl-C, also where a shell started the tests in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def restored_log_level() -> Iterator[None]:
    """Undo what a command's --quiet does to the loggers of a process that only runs one command."""
    logger = logging.getLogger("zsre")
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a random BERT of two layers, 32 wide, with a vocabulary of a hundred words."""
    torch = pytest.importorskip("torch")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    # With matrices this small, threads only wait for each other.
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("tiny-encoder")
    vocabulary = {word: index for index, word in enumerate(WORDS)}
    letters = {f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"} | set("abcdefghijklmnopqrstuvwxyz0123456789")
    for piece in sorted(letters - vocabulary.keys()):
        vocabulary[piece] = len(vocabulary)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    frame = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", frame)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]", model_max_length=64,
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).eval().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def half_encoder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store the tiny encoder in float16."""
    import shutil

    from transformers import BertModel

    folder = Path(shutil.copytree(tiny_encoder, tmp_path_factory.mktemp("half-encoder") / "encoder"))
    BertModel.from_pretrained(tiny_encoder).half().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a folder with ``labelled.jsonl``, ``relations.yaml`` and ``split.json`` of six made-up relations."""
    folder = tmp_path_factory.mktemp("tiny-data")
    generator = random.Random(5)
    with (folder / "labelled.jsonl").open("w", encoding="utf-8") as file:
        for number in range(240):
            relation = list(RELATIONS)[number % len(RELATIONS)]
            head, tail = generator.sample(NAMES, 2)
            template = RELATIONS[relation]
            start = template.index("{h}")
            text = template.format(h=head, t=tail)
            after = start + len(head) + template.index("{t}") - start - len("{h}")
            mentions = [
                {"start": start, "end": start + len(head), "type": "PERSON"},
                {"start": after, "end": after + len(tail), "type": "GPE"},
            ]
            assert text[after : after + len(tail)] == tail
            pairs = [{"head": 0, "tail": 1, "relations": [relation]}]
            file.write(json.dumps({"id": str(number), "text": text, "mentions": mentions, "pairs": pairs}) + "\n")
    lines = ["relations:"]
    for relation, template in RELATIONS.items():
        words = template.replace("{h}", "").replace("{t}", "").split()
        description = " ".join(word for word in words if word.isalpha())
        lines.append(f"  - {{name: {relation}, description: {description}, tail: {{terms: [{words[-2]}]}}}}")
    (folder / "relations.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    split = {"train": ["born", "founder", "author", "crosses"], "eval": ["home"], "test": ["singer"]}
    (folder / "split.json").write_text(json.dumps(split), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def tiny_config(tiny_encoder: Path, tiny_data: Path) -> Callable[..., TrainConfig]:
    """Return a function that makes a configuration on the tiny data; what is given takes the place of its fields."""
    pytest.importorskip("torch")
    from zsre.trainer.config import parse_config

    def make(**fields: Any) -> TrainConfig:
        plain = {
            "name": "tiny",
            "encoder": str(tiny_encoder),
            "split": str(tiny_data / "split.json"),
            "data": [{"path": str(tiny_data / "labelled.jsonl")}],
            "texts": {"sources": [str(tiny_data / "relations.yaml")]},
            "optim": {"batch_size": 16, "learning_rate": 2e-3, "new_layers_factor": 1, "precision": "fp32"},
            "level": {"weight": 0.3},
        }
        return parse_config(plain | fields, "tiny.yaml")

    return make


@pytest.fixture(scope="session")
def tiny_runs(
    tiny_config: Callable[..., TrainConfig], tiny_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Return a function that gives the directory of a finished run with ``marked`` or ``shared`` pairing.

    The shared one, as the model that ships, adapts relation vectors, and the marked one, as the paper, doesn't.
    """
    from functools import cache

    import torch

    from zsre.trainer.beginning import start_run
    from zsre.trainer.loop import fit
    from zsre.trainer.setup import prepare

    @cache
    def run(pairing: str) -> Path:
        directory = tmp_path_factory.mktemp("runs") / pairing
        texts = {"sources": [str(tiny_data / "relations.yaml")], "adapter": {} if pairing == "shared" else None}
        config = tiny_config(name=pairing, model={"pairing": pairing}, texts=texts)
        start_run(directory, config)
        fit(prepare(config, torch.device("cpu")), directory, lambda status: None)
        return directory

    return run


@pytest.fixture(scope="session")
def tiny_model(tiny_runs: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Export the ``shared`` run in full precision and return its model.onnx."""
    pytest.importorskip("onnxscript")
    from zsre.exporter.export import export_run

    return export_run(tiny_runs("shared"), tmp_path_factory.mktemp("tiny-model") / "model.onnx", "fp32").model
