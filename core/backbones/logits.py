"""A classifier without its softmax: what the network weighs before it is squeezed into probabilities."""

from __future__ import annotations

import dataclasses
import threading
import weakref
from typing import Any

import keras

from core.backbones import graph
from core.backbones.backbone import Backbone

_lock = threading.RLock()
_with_logits: weakref.WeakKeyDictionary[keras.Model, Backbone] = weakref.WeakKeyDictionary()


def with_logits(backbone: Backbone) -> Backbone:
    """`backbone` with a classifier that gives logits, under the same name; the same one where it has no softmax.

    Raising a probability may mean no more than lowering the others, and its gradient vanishes near 0 and 1. The weights
    are shared; kept as long as the backbone lives.
    """
    with _lock:
        if backbone.model not in _with_logits:
            changed = _change_classifier(backbone)
            if changed is None:
                return backbone
            _with_logits[backbone.model] = changed
        changed = _with_logits[backbone.model]
        return dataclasses.replace(backbone, model=changed.model, tensors=changed.tensors)


class _Linear:
    """What a layer's own `call` gets in place of `self`: the layer, but without its activation."""

    activation = None

    def __init__(self, layer: keras.layers.Layer):
        self._layer = layer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layer, name)


class BeforeActivation(keras.layers.Layer):
    """`layer` without its activation; the weights are shared, and the layer stays as it is."""

    def __init__(self, layer: keras.layers.Layer):
        super().__init__(name=f"{layer.name}_before_activation", dtype=layer.dtype_policy)
        self.layer = layer
        self._linear = _Linear(layer)
        self.input_spec = layer.input_spec  # what it is given is checked as the layer would

    def build(self, *shapes: Any) -> None:
        self.built = True

    def call(self, inputs: Any) -> Any:
        return type(self.layer).call(self._linear, inputs)

    def compute_output_spec(self, inputs: Any) -> Any:
        return self.layer.compute_output_spec(inputs)


def _change_classifier(backbone: Backbone) -> Backbone | None:
    """`None` where the last layer is no softmax."""
    model = backbone.model
    output = model.outputs[0]
    operation, before = graph.operation_of(output), graph.node_of(output).input_tensors[0]
    if (
        isinstance(operation, keras.layers.Softmax)
        or type(operation).__name__ == "Softmax"
        or (isinstance(operation, keras.layers.Activation) and _is_softmax(operation))
    ):
        logits = before
    elif isinstance(operation, keras.layers.Layer) and _is_softmax(operation):
        logits = BeforeActivation(operation)(before)
    else:
        return None
    names = [name for name, tensor in backbone.tensors.items() if tensor is output]
    tensors = backbone.tensors | dict.fromkeys(names, logits)
    return dataclasses.replace(backbone, model=keras.Model(model.inputs[0], logits, name=model.name), tensors=tensors)


def _is_softmax(layer: Any) -> bool:
    return getattr(getattr(layer, "activation", None), "__name__", "") == "softmax"
