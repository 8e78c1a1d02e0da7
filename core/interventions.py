"""What depends on a channel: the prediction when channels of one layer are switched off, or multiplied.

The network is one flat graph. Up to the layer it is run for the one photo; there each channel is multiplied by a
factor, and what depends on the layer is run for as many choices of factors as are asked for, in one batch. What
by-passes the layer (a residual block's shortcut, a nested model's second branch) is computed once and shared. So the
answer is exact wherever the layer sits. The compiled graph takes the factors and the class as tensors: nothing is
traced again for another channel, class or photo.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import activations
from core import images as pictures
from core.backbones import classes, graph, loading
from core.backbones.backbone import Backbone
from core.backbones.batches import BATCH_BYTES, bytes_per_photo
from core.backbones.compiled import CompiledPerModel
from core.backbones.logits import BeforeActivation
from core.errors import UserError
from core.messages import Effects, EffectsRequest, ExactEffect, Prediction, WhatIf, WhatIfRequest

_compiled = CompiledPerModel(most=16)


def effects(request: EffectsRequest) -> Effects:
    """How much each channel of the layer matters for the class: estimated for all, measured for the first few.

    The estimate is gradient × activation, summed over the map: one pass forward and one back (Molchanov et al. 2017,
    "Pruning Convolutional Neural Networks for Resource Efficient Inference", and Kindermans et al. 2016). It is exact
    where the rest of the network is linear. Raises `UserError` where the network tells no classes or has no such layer
    or class.
    """
    backbone = loading.load(request.model)
    return channel_effects(backbone, _fitted(backbone, request), request.layer, request.target, request.exact)


def what_if(request: WhatIfRequest) -> WhatIf:
    """The prediction before and after channels are multiplied; the errors are those of `effects`."""
    backbone = loading.load(request.model)
    factors = _factors(backbone, request.layer, request.factors)
    both = intervened(backbone, _fitted(backbone, request), request.layer, np.stack([np.ones_like(factors), factors]))
    before, after = activations.probabilities_of(backbone, both)
    best = {*_best(before, request.top), *_best(after, request.top)}
    if request.watch is not None:
        activations.check_class(backbone, request.watch)
        best.add(request.watch)
    order = sorted(best, key=lambda index: (-before[index], index))
    return WhatIf(_predictions(backbone, before, order), _predictions(backbone, after, order))


def channel_effects(backbone: Backbone, image: np.ndarray, layer: str, target: int, exact: int) -> Effects:
    """`effects` for one image, `[H, W, 3]` in 0..255 at the backbone's input size."""
    channels = backbone.layer(layer).channels
    logits, estimates = _estimates(backbone, image, layer, target)
    first = np.argsort(-np.abs(estimates), kind="stable")[: max(exact, 0)]
    factors = np.ones((len(first) + 1, channels), np.float32)
    factors[np.arange(len(first)) + 1, first] = 0.0
    measured = intervened(backbone, image, layer, factors) if len(first) else logits
    probabilities = activations.probabilities_of(backbone, measured)[:, target]
    falls = measured[:1, target] - measured[1:, target], probabilities[:1] - probabilities[1:]
    return Effects(
        target=target,
        logit=float(measured[0, target]),
        probability=float(probabilities[0]),
        approximate=estimates,
        exact=tuple(ExactEffect(int(c), float(logit), float(p)) for c, logit, p in zip(first, *falls, strict=True)),
    )


def intervened(backbone: Backbone, image: np.ndarray, layer: str, factors: np.ndarray) -> np.ndarray:
    """The logits `float32[B, classes]` of one image when the channels of `layer` are multiplied by `factors[B, C]`.

    `image` is `[H, W, 3]` in 0..255 at the backbone's input size. At the layer that turns logits into probabilities
    (and behind it) the logits are what is multiplied.
    """
    run, rows = _function(backbone, layer, image.shape[:2], "run")
    pixels = tf.constant(backbone.preprocessing(image[None]))
    parts = [factors[start : start + rows] for start in range(0, len(factors), rows)]
    return np.concatenate([run(pixels, tf.constant(part, tf.float32)).numpy() for part in parts])


def _estimates(backbone: Backbone, image: np.ndarray, layer: str, target: int) -> tuple[np.ndarray, np.ndarray]:
    """The logits `float32[1, classes]` as they are, and each channel's gradient × activation, `float32[C]`."""
    activations.check_class(backbone, target)
    derive, _ = _function(backbone, layer, image.shape[:2], "derive")
    ones = tf.ones((1, backbone.layer(layer).channels))
    logits, slopes = derive(tf.constant(backbone.preprocessing(image[None])), ones, tf.constant(target))
    return logits.numpy(), slopes.numpy()[0]


def _function(backbone: Backbone, layer: str, size: tuple[int, int], which: str) -> tuple[Any, int]:
    """A compiled function, and the number of rows of factors that it should be given at most."""
    activations.class_activation(backbone)  # raises where there are no classes
    backbone.layer(layer)

    def build() -> tuple[Any, int]:
        forward = _forward(backbone, layer)
        compiled = _compile_run(forward, size) if which == "run" else _compile_derive(forward, size)
        return compiled, max(1, BATCH_BYTES // max(bytes_per_photo(backbone)))

    return _compiled.get(backbone.model, (layer, size, which), build)


def _compile_run(forward: Callable[[Any, Any], Any], size: tuple[int, int]) -> Any:
    signature = [tf.TensorSpec([1, *size, 3], tf.float32), tf.TensorSpec([None, None], tf.float32)]
    return tf.function(forward, input_signature=signature, autograph=False)


def _compile_derive(forward: Callable[[Any, Any], Any], size: tuple[int, int]) -> Any:
    """The derivative by a channel's factor at 1 is its gradient × activation, summed over the map."""

    def derive(image: tf.Tensor, factors: tf.Tensor, target: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(factors)
            logits = forward(image, factors)
            score = tf.gather(logits[0], target)
        return logits, tape.gradient(score, factors, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    signature = [
        tf.TensorSpec([1, *size, 3], tf.float32),
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([], tf.int32),
    ]
    return tf.function(derive, input_signature=signature, autograph=False)


def _forward(backbone: Backbone, layer: str) -> Callable[[Any, Any], Any]:
    """`(image[1, H, W, 3], factors[B, C]) -> logits[B, classes]`, along the nodes of the flat graph.

    It refers to the model's layers, not to the model itself, so that it can be kept with it.
    """
    source, output, chosen = backbone.model.inputs[0], backbone.model.outputs[0], backbone.tensor(layer)
    nodes = list(graph.in_order(backbone.model))
    deciding, activation = classes.deciding(output)

    def forward(image: tf.Tensor, factors: tf.Tensor) -> tf.Tensor:
        count = tf.shape(factors)[0]
        values, many = {id(source): image}, set()

        def for_all(tensor: Any) -> Any:
            value = values[id(tensor)]
            per_photo = tensor.shape and tensor.shape[0] == source.shape[0]
            return value if id(tensor) in many or not per_photo else tf.repeat(value, count, axis=0)

        for node in nodes:
            given = values
            depends = any(id(tensor) in many for tensor in node.input_tensors)
            if depends:
                given = values | {id(tensor): for_all(tensor) for tensor in node.input_tensors}
            arguments, named = node.arguments.fill_in(given)
            outputs = _called(node, deciding, arguments, named)
            for tensor, value in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
                if tensor is chosen:
                    shape = tf.concat([[count], tf.ones([len(value.shape) - 2], tf.int32), [-1]], axis=0)
                    value = value * tf.cast(tf.reshape(factors, shape), value.dtype)
                if depends or tensor is chosen:
                    many.add(id(tensor))
                values[id(tensor)] = value
        logits = tf.cast(for_all(output), tf.float32)
        one_unit = activation == "sigmoid" and output.shape[-1] == 1
        return tf.concat([-logits, logits], axis=-1) if one_unit else logits

    return forward


def _called(node: Any, deciding: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """What the node computes; the one that turns logits into probabilities leaves the logits."""
    if not any(tensor is deciding for tensor in node.outputs):
        return graph.infer(node.operation, arguments, named)
    operation = graph.operation_of(deciding)
    if isinstance(operation, (keras.layers.Dense, keras.layers.Conv2D)):
        return BeforeActivation(operation)(*arguments)
    return arguments[0]


def _fitted(backbone: Backbone, request: EffectsRequest | WhatIfRequest) -> np.ndarray:
    return pictures.fit(request.photo.pixels, backbone.input_size)


def _factors(backbone: Backbone, layer: str, changes: tuple[tuple[int, float], ...]) -> np.ndarray:
    """`float32[C]`: 1 where nothing changes."""
    channels = backbone.layer(layer).channels
    factors = np.ones(channels, np.float32)
    for channel, factor in changes:
        if not 0 <= channel < channels:
            raise UserError(f"Layer {layer!r} has {channels} channels, numbered from 0: there is no channel {channel}.")
        if not math.isfinite(factor):
            raise UserError(f"Channel {channel} cannot be multiplied by {factor}: choose a number, 0 to switch it off.")
        factors[channel] = factor
    return factors


def _best(probabilities: np.ndarray, top: int) -> list[int]:
    return np.argsort(-probabilities, kind="stable")[: max(top, 0)].tolist()


def _predictions(backbone: Backbone, probabilities: np.ndarray, order: list[int]) -> tuple[Prediction, ...]:
    return tuple(Prediction(i, activations.class_name(backbone, i), float(probabilities[i])) for i in order)
