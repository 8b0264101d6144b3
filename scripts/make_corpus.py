"""Turn labelled data into a corpus of running text: make_corpus.py redocred/dev.json.gz corpus.jsonl [--entities]

Sentences of one Re-DocRED document are joined again; any other data set gives one document for each of its
texts. With ``--entities`` the data's own mentions go along, to be used instead of spaCy's.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from zsre.relations.examples import LabelledSentence
from zsre.relations.readers import read_labelled


def documents(path: Path, entities: bool) -> Iterator[dict[str, Any]]:
    """Yield one record for each document; the sentences of a Re-DocRED title stand together."""
    for name, sentences in groupby(read_labelled(path), key=document_id):
        text, given = "", []
        for sentence in sentences:
            text += " " if text else ""
            for mention in sentence.mentions:
                start, end = len(text) + mention.start, len(text) + mention.end
                given.append({"start": start, "end": end, "label": mention.type or "MISC"})
            text += sentence.text
        record: dict[str, Any] = {"id": name, "text": text}
        yield record | {"entities": given} if entities else record


def document_id(sentence: LabelledSentence) -> str:
    """Return the document that a sentence belongs to."""
    return sentence.id.rpartition("/")[0] if sentence.source == "redocred" else sentence.id


def main() -> None:
    """Write the corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--entities", action="store_true", help="give the data's mentions as entities")
    arguments = parser.parse_args()
    with arguments.corpus.open("w", encoding="utf-8") as file:
        for record in documents(arguments.data, arguments.entities):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
