"""Other ways to write the attention of an exported model, to be timed beside the way in which torch writes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Final

import onnx
from onnx import NodeProto, helper, numpy_helper

from zsre.runner.engine import relations_path

_MICROSOFT: Final = "com.microsoft"
#: What may lie between a linear layer and the product that it goes into.
_BETWEEN: Final = frozenset({"Mul", "Reshape", "Transpose"})
Rewrite = Callable[[onnx.ModelProto], None]


@dataclass(frozen=True)
class Attention:
    """A layer's attention: the outputs of its query, key and value, its mask, its heads, and the node it ends with."""

    query: str
    key: str
    value: str
    mask: str
    heads: int
    end: NodeProto


def rewritten(model: Path, rewrite: Rewrite, path: Path) -> Path:
    """Write a model anew, with the file of relations that belongs to it, and return its path."""
    changed = onnx.load_model(str(model))
    rewrite(changed)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save_model(changed, str(path))
    copyfile(relations_path(model), relations_path(path))
    return path


def one_kernel(model: onnx.ModelProto) -> None:
    """Give each layer's attention to one kernel, ONNX Runtime's for several heads."""
    model.opset_import.append(helper.make_opsetid(_MICROSOFT, 1))
    for found in list(attentions(model.graph)):
        inputs = [found.query, found.key, found.value, "", "", found.mask]
        node = helper.make_node(
            "MultiHeadAttention", inputs, list(found.end.output), domain=_MICROSOFT, num_heads=found.heads
        )
        _replace(model.graph, [found.end], [node])


def one_product(model: onnx.ModelProto) -> None:
    """Make each layer's query, key and value in one product three times as wide."""
    for found in list(attentions(model.graph)):
        produced = _producers(model.graph)
        names = (found.query, found.key, found.value)
        sums = [produced[name] for name in names]
        products = [produced[each.input[0]] for each in sums]
        own = found.query
        nodes = [
            helper.make_node("Concat", [each.input[1] for each in products], [f"{own}.weights"], axis=1),
            helper.make_node("Concat", [each.input[1] for each in sums], [f"{own}.biases"], axis=0),
            helper.make_node("MatMul", [products[0].input[0], f"{own}.weights"], [f"{own}.product"]),
            helper.make_node("Add", [f"{own}.product", f"{own}.biases"], [f"{own}.all"]),
            helper.make_node("Split", [f"{own}.all"], list(names), axis=-1, num_outputs=3),
        ]
        _replace(model.graph, [*products, *sums], nodes)


def attentions(graph: onnx.GraphProto) -> Iterator[Attention]:
    """Yield the attention of each layer of the encoder, first to last."""
    produced = _producers(graph)
    numbers = {tensor.name: tensor for tensor in graph.initializer}
    used = {name: node for node in graph.node for name in node.input}
    for softmax in [node for node in graph.node if node.op_type == "Softmax"]:
        masked = produced.get(softmax.input[0])
        product = None if masked is None or masked.op_type != "Add" else produced.get(masked.input[0])
        if masked is None or product is None or product.op_type != "MatMul":
            continue
        query, key = (_linear(produced, name) for name in product.input)
        weighed = used[softmax.output[0]]
        while weighed.op_type != "MatMul":
            weighed = used[weighed.output[0]]
        end = used[used[weighed.output[0]].output[0]]
        scaled = produced[product.input[0]]
        # Query and key are each scaled by the fourth root of a head's width.
        scale = numpy_helper.to_array(numbers[scaled.input[1]]).item()
        width = numpy_helper.to_array(numbers[produced[query].input[1]]).shape[-1]
        heads = width // round(scale**-4)
        yield Attention(query, key, _linear(produced, weighed.input[1]), masked.input[1], heads, end)


def _linear(produced: dict[str, NodeProto], name: str) -> str:
    """Return the output of the linear layer that something is made of."""
    while produced[name].op_type in _BETWEEN:
        name = produced[name].input[0]
    assert produced[name].op_type == "Add", f"{name} comes from no linear layer"
    return name


def _producers(graph: onnx.GraphProto) -> dict[str, NodeProto]:
    return {name: node for node in graph.node for name in node.output}


def _replace(graph: onnx.GraphProto, old: list[NodeProto], new: list[NodeProto]) -> None:
    """Put nodes where the first of others stood, and drop what nothing uses any more."""
    gone = {node.output[0] for node in old}
    place = next(place for place, node in enumerate(graph.node) if node.output[0] in gone)
    nodes = [node for node in graph.node if node.output[0] not in gone]
    nodes[place:place] = new
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(nodes):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    tensors = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensors)
