"""What an ONNX file holds of a transformer, where the exporter renamed its weights.

In: an ONNX file. Out: its named weights, and those of its linear layers, whose names (such as
`onnx::MatMul_1966`) say nothing: a linear layer is a product of which the sum with a named bias is
made, and so has the name of the bias. Refuses a file that is no ONNX model, and a name that leads
nowhere.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from preparation.errors import MODEL, PreparationError


class OnnxGraph:
    """The nodes and weights of an ONNX file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._graph = _load(path).graph
        self._weights = {tensor.name: tensor for tensor in self._graph.initializer}
        self._producers = {
            output: node for node in self._graph.node for output in node.output if output
        }

    def refuse(self, found: str) -> PreparationError:
        return PreparationError(MODEL, f"{self._path}: {found}")

    def names(self) -> list[str]:
        """Of all weights, in file order."""
        return list(self._weights)

    def shape_of(self, name: str) -> tuple[int, ...]:
        if name not in self._weights:
            raise self.refuse(f"there is no weight {name}")
        return tuple(self._weights[name].dims)

    def values_of(self, name: str) -> np.ndarray:
        """A weight's values, float32, in its shape."""
        self.shape_of(name)
        values = onnx.numpy_helper.to_array(self._weights[name])
        if values.dtype != np.float32:
            raise self.refuse(f"the weight {name} is {values.dtype}, expected float32")
        return values

    def linear_of(self, bias: str) -> str:
        """The name of the weight [in, out] of the linear layer that has this bias."""
        for sum_node in self._users_of(bias, "Add"):
            for term in sum_node.input:
                product = self._producers.get(term)
                if product is not None and product.op_type == "MatMul":
                    if product.input[1] in self._weights:
                        return str(product.input[1])
        raise self.refuse(f"no product of a weight has {bias} added")

    def head_shape(self, bias: str) -> tuple[int, int]:
        """Heads and their width: the last two sizes that the output of the linear layer with this
        bias is reshaped to."""
        for sum_node in self._users_of(bias, "Add"):
            for reshape in self._users_of(sum_node.output[0], "Reshape"):
                sizes = self._last_sizes(reshape.input[1])
                if len(sizes) == 2:
                    return sizes[0], sizes[1]
        raise self.refuse(f"the output with {bias} is not reshaped to heads of constant width")

    def epsilon_of(self, weight: str) -> float:
        """Of the layer norm with this weight: what is added to the variance before its root."""
        for scaled in self._users_of(weight, "Mul"):
            for factor in scaled.input:
                quotient = self._producers.get(factor)
                if quotient is None or quotient.op_type != "Div":
                    continue
                root = self._producers.get(quotient.input[1])
                total = self._producers.get(root.input[0]) if root is not None else None
                for term in total.input if total is not None else ():
                    constant = self._constant(term)
                    if constant is not None:
                        return float(str(np.float32(constant.item())))
        raise self.refuse(f"{weight} is not the weight of a layer norm")

    def has(self, operator: str) -> bool:
        return any(node.op_type == operator for node in self._graph.node)

    def _users_of(self, name: str, operator: str) -> list[onnx.NodeProto]:
        return [
            node for node in self._graph.node if node.op_type == operator and name in node.input
        ]

    def _last_sizes(self, name: str) -> list[int]:
        """The constants at the end of a shape that is made by joining sizes."""
        joined = self._producers.get(name)
        if joined is None or joined.op_type != "Concat":
            return []
        constants = [self._constant(part) for part in joined.input[-2:]]
        return [int(value.item()) for value in constants if value is not None]

    def _constant(self, name: str) -> np.ndarray | None:
        node = self._producers.get(name)
        if node is None or node.op_type != "Constant":
            return None
        return onnx.numpy_helper.to_array(node.attribute[0].t)


def _load(path: Path) -> onnx.ModelProto:
    if not path.exists():
        raise PreparationError(MODEL, f"{path}: no such file")
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # damaged files, and missing external data, raise almost anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PreparationError(MODEL, f"{path} is not a whole ONNX model: {reason}") from None
    return model
