"""How a model's output is to be read as classes, if it tells any."""

from __future__ import annotations

from typing import Any

import keras

_PASSING_ON = {"Reshape", "Flatten", "Dropout", "Identity", "GetItem", "Cast"}  # layers that change no value


def activation_of(model: keras.Model) -> str | None:
    """ "softmax", "sigmoid" or "linear" (logits), the activation of a list of classes; `None` where there is none.

    A single linear unit is a number, not a class.
    """
    outputs = model.outputs
    if len(outputs) != 1 or len(outputs[0].shape) != 2:
        return None
    _, activation = deciding(outputs[0])
    if activation in ("softmax", "sigmoid") or (activation == "linear" and outputs[0].shape[-1] != 1):
        return activation
    return None


def count(model: keras.Model) -> int:
    """How many classes the model's output tells: 0 where it tells none, 2 where one unit says yes or no."""
    activation = activation_of(model)
    if activation is None:
        return 0
    units = model.outputs[0].shape[-1] or 0
    return 2 if activation == "sigmoid" and units == 1 else units


def deciding(tensor: Any) -> tuple[Any, str | None]:
    """The tensor whose activation made `tensor`, looking back through layers that change no value, and its name.

    The activation is `None` for anything that is none.
    """
    while True:
        history = tensor._keras_history
        operation = getattr(history.operation, "operation", history.operation)  # of a stand-in for a repeated name
        activation = getattr(operation, "activation", None)
        kind = type(operation).__name__
        if kind in ("Softmax", "Sigmoid"):
            return tensor, kind.lower()
        passes_on = kind in _PASSING_ON or (kind == "Activation" and keras.activations.linear is activation)
        if passes_on:
            tensor = history.operation._inbound_nodes[history.node_index].input_tensors[0]
            continue
        if isinstance(operation, (keras.layers.Dense, keras.layers.Conv2D, keras.layers.Activation)):
            return tensor, getattr(activation, "__name__", None)
        return tensor, None
