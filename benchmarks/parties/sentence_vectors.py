"""sentence-transformers with its ONNX backend and its defaults: one vector for each sentence."""

from __future__ import annotations

import importlib.metadata

import onnxruntime as ort
from sentence_transformers import SentenceTransformer

from benchmarks.parties.marked import encoder_folder
from benchmarks.protocol import Counts, Job, Work, read_records, serve


def prepare(job: Job) -> Work:
    """Load the encoder, which the backend exports on the way."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = job["threads"]
    settings = {"provider": "CPUExecutionProvider", "session_options": options, "export": True}
    model = SentenceTransformer(encoder_folder(), backend="onnx", model_kwargs=settings)
    texts = [record["text"] for record in read_records(job)]

    def run() -> Counts:
        return {"sentences": len(model.encode(texts, show_progress_bar=False))}

    names = ("sentence-transformers", "optimum-onnx", "onnxruntime", "transformers")
    return Work(run, {name: importlib.metadata.version(name) for name in names})


if __name__ == "__main__":
    serve(prepare)
