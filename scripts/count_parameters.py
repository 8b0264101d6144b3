"""Count the parameters of SDZRE with a BERT-base configuration (Table 5): count_parameters.py [--relations 60]"""

from __future__ import annotations

import argparse

import torch
from transformers import BertConfig, BertModel

from zsre.trainer.model import ModelConfig, SentenceModel
from zsre.trainer.setup import count_parameters


def main() -> None:
    """Count without allocating anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--relations", type=int, default=60, help="seen relations, which the reversed classifier has")
    relations = parser.parse_args().relations
    with torch.device("meta"):
        model = SentenceModel(BertModel(BertConfig()), ModelConfig(), relations)
    print(f"{count_parameters(model) / 1e6:.2f} M parameters with BERT-base and {relations} seen relations")


if __name__ == "__main__":
    main()
