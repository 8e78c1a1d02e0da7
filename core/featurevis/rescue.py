"""What to do where gradient ascent would stand still: blocked ReLUs, saturated classifiers, filters that never fire."""

from __future__ import annotations

import dataclasses
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core.backbones import graph
from core.backbones.backbone import Backbone
from core.backbones.folding import FoldedNetwork

_CHUNK = 8  # images at a time, so that memory does not grow with their number
_lock = threading.RLock()
_with_logits: weakref.WeakKeyDictionary[keras.Model, Backbone] = weakref.WeakKeyDictionary()


def rescued(model: keras.Model, dtype: str = "float32") -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """The flat `model` as a function with the same values and another gradient, which is to be followed upwards.

    Where a ReLU or ReLU6 blocks all of an image's gradient, it is let through, except where it would only push a unit
    further into what blocks it. Meant for the first steps. Source: Lucid, `optvis/overrides/redirected_relu_grad.py`
    (Olah et al., *Feature Visualization*, Distill 2017), with the sign of what is maximised.
    """
    network = FoldedNetwork(model, dtype)
    return lambda images: network(images, rescue=True)


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
        return dataclasses.replace(_with_logits[backbone.model], ref=backbone.ref)


def never_fires(model: keras.Model, targets: Sequence[int], images: np.ndarray) -> np.ndarray:
    """`bool[N]`: whether the target channel is silent on its own image although that was made to excite it.

    `model` gives one layer, `images` (`float32[N, H, W, 3]`) are as the network gets them. Silent means: no activation
    above 0 anywhere, or none that any pixel has an influence on.
    """
    silent = []
    for start in range(0, len(images), _CHUNK):
        chunk = tf.constant(images[start : start + _CHUNK])
        chosen = tf.constant(targets[start : start + _CHUNK], tf.int32)
        with tf.GradientTape() as tape:
            tape.watch(chunk)
            (outputs,) = tf.nest.flatten(model(chunk, training=False))
            activation = tf.gather(outputs, chosen, axis=-1, batch_dims=1)
            activation = tf.reshape(activation, [len(chunk), -1])
            total = tf.reduce_sum(activation)
        gradient = tf.reshape(tape.gradient(total, chunk), [len(chunk), -1])
        fires = tf.reduce_any(activation > 0, axis=1) & tf.reduce_any(gradient != 0, axis=1)
        silent.append(~fires.numpy())
    return np.concatenate(silent) if silent else np.zeros(0, bool)


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
    operation, history = graph.operation_of(output), output._keras_history
    (before,) = history.operation._inbound_nodes[history.node_index].input_tensors[:1]
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
