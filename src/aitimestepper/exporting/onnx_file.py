"""A network as ONNX: from features to what it gives, for any number of states at once."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper._version import __version__
from aitimestepper.constants import TRAITS
from aitimestepper.engine.networks import RELU, SIGMOID, SILU, TANH
from aitimestepper.errors import InputError, OutputExistsError
from aitimestepper.outputs import write_atomically
from aitimestepper.weights.compiled import network_of, with_ranges
from aitimestepper.weights.file import ModelFile

OPSET, IR = 17, 9
"""Of 2022: what reads ONNX at all reads these."""


def export_onnx(model: ModelFile, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write the network as `features` (S, F) -> `output` (S, outputs), in double precision.

    Column 0 is the step in the unit of `output_scale`, without the 1e-12 that is added to it; of calibrated weights
    each column is the factor of an integrator and order. How features are made of a state is not in the file: its
    metadata name their type and scales.

    Raises:
        InputError: the package onnx is not installed.
        OutputExistsError: the file is there already.
        OutputError: it cannot be written.
    """
    onnx = _required("onnx")
    target = Path(path)
    if target.exists() and not overwrite:
        raise OutputExistsError(f"{target} exists already: choose another name, or set overwrite to replace it")
    graph = onnx.helper.make_model(
        _graph(onnx, model),
        producer_name="aitimestepper",
        producer_version=__version__,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR,
    )
    onnx.helper.set_model_props(graph, _metadata(model))
    onnx.checker.check_model(graph)
    write_atomically(target, graph.SerializeToString())
    return target


def _required(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise InputError(f"ONNX needs {name}: pip install 'aitimestepper[export]'") from None


def _graph(onnx: Any, model: ModelFile) -> Any:
    network = network_of(model)
    if model.calibrated:
        low, high = np.array(model.scales).reshape(2, TRAITS)
        network = with_ranges(network, low, high)
    n_features, n_frequencies, *widths = (int(width) for width in network.widths)
    node, made, nodes = onnx.helper.make_node, [], []

    def constant(name: str, values: Any) -> str:
        made.append(onnx.numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float64), name))
        return name

    values = network.weights
    current = "features"
    if n_frequencies:
        frequencies = values[: n_features * n_frequencies].reshape(n_features, n_frequencies)
        nodes += [
            node("MatMul", ["features", constant("frequencies", 2.0 * np.pi * frequencies)], ["phases"]),
            node("Sin", ["phases"], ["sines"]),
            node("Cos", ["phases"], ["cosines"]),
            node("Concat", ["features", "sines", "cosines"], ["inputs"], axis=1),
        ]
        current = "inputs"
    start = n_features * n_frequencies
    for number, (n_in, n_out) in enumerate(pairwise(widths)):
        weight = constant(f"weight{number}", values[start : start + n_in * n_out].reshape(n_in, n_out))
        bias = constant(f"bias{number}", values[start + n_in * n_out : start + (n_in + 1) * n_out])
        nodes.append(node("Gemm", [current, weight, bias], [f"sum{number}"]))
        start += (n_in + 1) * n_out
        current = f"sum{number}"
        if number < len(widths) - 2:
            nodes += _activation(node, int(network.activation), current, f"layer{number}")
            current = f"layer{number}"
    nodes += _softplus(node, current, constant)
    double = onnx.TensorProto.DOUBLE
    inputs = [onnx.helper.make_tensor_value_info("features", double, ["states", n_features])]
    outputs = [onnx.helper.make_tensor_value_info("output", double, ["states", widths[-1]])]
    return onnx.helper.make_graph(nodes, "timestep", inputs, outputs, made)


def _softplus(node: Any, before: str, constant: Callable[[str, Any], str]) -> list[Any]:
    """max(x, 0) + log(1 + exp(-|x|)), and x itself from 20 on, as torch has it.

    onnxruntime has no softplus in double precision.
    """
    return [
        node("Relu", [before], ["positive"]),
        node("Abs", [before], ["size"]),
        node("Neg", ["size"], ["exponent"]),
        node("Exp", ["exponent"], ["power"]),
        node("Add", ["power", constant("one", 1.0)], ["sum_of_two"]),
        node("Log", ["sum_of_two"], ["rest"]),
        node("Add", ["positive", "rest"], ["smooth"]),
        node("Greater", [before, constant("from", 20.0)], ["large"]),
        node("Where", ["large", before, "smooth"], ["output"]),
    ]


def _activation(node: Any, activation: int, before: str, after: str) -> list[Any]:
    if activation == SILU:
        return [node("Sigmoid", [before], [f"{after}_gate"]), node("Mul", [before, f"{after}_gate"], [after])]
    name = {TANH: "Tanh", RELU: "Relu", SIGMOID: "Sigmoid"}[activation]
    return [node(name, [before], [after])]


def _metadata(model: ModelFile) -> dict[str, str]:
    config = model.config
    known = {
        "feature_type": config.feature_type,
        "history_len": config.history_len,
        "output_scale": config.output_scale,
        "energy_threshold": config.energy_threshold,
        "normalize_inputs": config.normalize_inputs,
        "scales": None if model.scales is None else list(model.scales),
        "commit": model.about.get("commit"),
    }
    return {key: json.dumps(value) for key, value in known.items() if value is not None}
