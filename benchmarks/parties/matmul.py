"""What the machine can do: the fastest product of two float32 matrices, by numpy or by ONNX Runtime."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from benchmarks.protocol import Counts, Job, Work, serve

Matrix = NDArray[np.float32]
#: Rows, depth and columns: squares, and what MiniLM multiplies when 2,048 tokens come together.
SIZES = ((512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (2048, 384, 1536), (2048, 1536, 384))
#: Products are repeated for at least so long at a time, and the best time counts.
SECONDS, TIMES = 0.2, 5


def prepare(job: Job) -> Work:
    """Make the matrices, and for ONNX Runtime a graph for each right side, which it packs as it does with weights."""
    generator = np.random.default_rng(0)
    products = []
    for rows, depth, columns in job.get("sizes", SIZES):
        left = generator.standard_normal((rows, depth), dtype=np.float32)
        right = generator.standard_normal((depth, columns), dtype=np.float32)
        make = onnx_product if job["library"] == "onnxruntime" else numpy_product
        products.append((2 * rows * depth * columns, make(left, right, job["threads"])))

    def run() -> Counts:
        operations, seconds = max((best_time(product, flops) for flops, product in products), key=lambda it: it[0])
        return {"flops": operations * seconds, "own_seconds": seconds}

    version = ort.__version__ if job["library"] == "onnxruntime" else np.__version__
    # Each product is repeated until it is at its best, so there is nothing to warm up.
    return Work(run, {job["library"]: version}, warm_up=lambda: None)


def numpy_product(left: Matrix, right: Matrix, threads: int) -> Callable[[], object]:
    """Return a product by numpy, whose threads the environment sets."""
    out = np.empty((len(left), right.shape[1]), dtype=np.float32)
    return lambda: np.matmul(left, right, out=out)


def onnx_product(left: Matrix, right: Matrix, threads: int) -> Callable[[], object]:
    """Return a product by ONNX Runtime, whose right side is a constant of the graph."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["product"])],
        "product",
        [helper.make_tensor_value_info("left", TensorProto.FLOAT, list(left.shape))],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, [len(left), right.shape[1]])],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(["product"], {"left": left})


def best_time(product: Callable[[], object], flops: int) -> tuple[float, float]:
    """Return the most floating-point operations a second, and the seconds that one product took then."""
    start = time.perf_counter()
    product()
    once = max(time.perf_counter() - start, 1e-6)
    repeats = max(1, round(SECONDS / once))
    times = []
    for _ in range(TIMES):
        start = time.perf_counter()
        for _ in range(repeats):
            product()
        times.append((time.perf_counter() - start) / repeats)
    return flops / min(times), min(times)


if __name__ == "__main__":
    serve(prepare)
