"""What a network expects its pixels to be, as far as it can be told from the network itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from core.backbones import graph
from core.backbones.catalogue import find
from core.errors import UserError

_LARGE = 16.0  # numbers that a first layer is given hardly ever go beyond that
_FAR = 8.0  # nor do they have a mean beyond that: who takes so much away has pixels of 0 to 255

# Names of layers by which a network of Keras Applications is known, whatever the network itself is called: all of the
# first group, none of the second.
_FINGERPRINTS: tuple[tuple[str, frozenset[str], frozenset[str]], ...] = tuple(
    (preprocessing, frozenset(has.split()), frozenset(has_not.split()))
    for preprocessing, has, has_not in (
        ("tf", "block1_conv1_act block3_sepconv1 block3_sepconv1_bn", ""),  # Xception
        ("caffe", "block1_conv1 block1_pool block3_conv1", ""),  # VGG
        ("caffe", "conv2_block1_1_conv conv2_block1_out", "conv2_block1_preact_bn"),  # ResNet
        ("caffe", "res2a_branch2a bn2a_branch2a", ""),  # ResNet of older versions
        ("tf", "conv2_block1_preact_bn conv2_block1_1_conv conv2_block1_out", ""),  # ResNetV2
        ("torch", "conv2_block1_0_bn conv2_block1_concat", ""),  # DenseNet
        ("tf", "mixed0 mixed1 mixed2", ""),  # InceptionV3
        ("tf", "mixed_5b block35_1_mixed", ""),  # InceptionResNetV2
        ("tf", "conv_dw_1 conv_pw_1", ""),  # MobileNet
        ("tf", "expanded_conv_depthwise Conv1_relu", ""),  # MobileNetV2
        ("tf", "stem_conv1 stem_bn1 reduction_conv_1_stem_1", ""),  # NASNet
        ("lite", "stem_conv block1_expand_conv block1_depthwise_conv block15_project_conv", ""),  # EfficientNet-Lite
    )
)


def known_family(model: keras.Model, names: Iterable[str]) -> str | None:
    """The key of `PREPROCESSING` of the network in the catalogue that the model is, or that is nested in it; by the
    `names` of its layers ("xception/block3_sepconv1"), or by its own."""
    names = tuple(names)
    last = {name.rpartition("/")[2].partition(":")[0] for name in names}
    for preprocessing, has, has_not in _FINGERPRINTS:
        if has <= last and not has_not & last:
            return preprocessing
    for name in (model.name, *dict.fromkeys(part for layer in names for part in layer.split("/")[:-1])):
        try:
            return find(name).preprocessing
        except UserError:
            continue
    return None


def told_by_itself(model: keras.Model, start: Any) -> tuple[str, bool] | None:
    """A key of `PREPROCESSING` for the flat `model`, and whether it is sure; `None` where nothing is done to pixels.

    `start` is the tensor that the photo comes in by. What is added and multiplied before the first layer that looks at
    the photo says which numbers there must be before: those that become small by it. Where that layer is a
    BatchNormalization, the mean and the spread of what it was trained on are in it.
    """
    reached, line, changed = {id(start)}, (1.0, 0.0), False
    for node in graph.in_order(model):
        if not any(id(tensor) in reached for tensor in node.input_tensors):
            continue
        operation = graph.operation_of(node.outputs[0])
        if graph.is_ours(operation.name) and not graph.passes_on(operation.name):
            continue  # towards another input
        step = _step(operation, node)
        if step is _UNKNOWN:
            return "none", True
        if step is not None:
            line, changed = (line[0] * step[0], line[1] * step[0] + step[1]), True
        elif isinstance(operation, keras.layers.Layer) and operation.weights:
            by_norm = _by_statistics(operation) if not changed else None
            return by_norm or (_before(*line) if changed else None)
        reached.update(id(output) for output in node.outputs)
    return _before(*line) if changed else None


def _before(factor: float, offset: float) -> tuple[str, bool]:
    """What x is, where a network computes `factor` · x + `offset` of it first."""
    if 255 * abs(factor) <= _LARGE or abs(offset) > _FAR:
        return "none", True
    return "unit", True


_UNKNOWN = (float("nan"), float("nan"))  # it scales, and nobody can say how: in a model without numbers


def _step(operation: Any, node: Any) -> tuple[float, float] | None:
    """Factor and offset, over all colours; `None` for what does not add or multiply the same everywhere."""
    kind = type(operation).__name__
    if kind == "Rescaling":
        return _mean(operation.scale), _mean(operation.offset)
    if kind == "Normalization":
        return _of_normalization(operation)
    if kind in ("Add", "Subtract", "Multiply", "Divide", "TrueDivide"):
        given = [*node.arguments.args, *node.arguments.kwargs.values()]
        if len(given) == 2 and sum(keras.backend.is_keras_tensor(each) for each in given) == 1:
            return _of_arithmetic(kind, *given)
    return None


def _of_arithmetic(kind: str, left: Any, right: Any) -> tuple[float, float] | None:
    comes_first = keras.backend.is_keras_tensor(left)
    try:
        number = _mean(right if comes_first else left)
    except (TypeError, ValueError):
        return None
    if kind == "Add":
        return 1.0, number
    if kind == "Subtract":
        return (1.0, -number) if comes_first else (-1.0, number)
    if kind == "Multiply":
        return number, 0.0
    return (1.0 / number, 0.0) if comes_first and number else None


def _of_normalization(layer: Any) -> tuple[float, float] | None:
    try:
        mean, variance = (getattr(layer, name) for name in ("mean", "variance"))
        if mean is None or any(getattr(layer, f"adapt_{name}", 0) is None for name in ("mean", "variance")):
            return _UNKNOWN
        factor = 1.0 / max(_mean(np.sqrt(np.asarray(variance, np.float64))), 1e-7)
        return (1.0 / factor, _mean(mean)) if layer.invert else (factor, -_mean(mean) * factor)
    # What its statistics are before there are any is Keras' own affair.
    except Exception:
        return _UNKNOWN


def _by_statistics(layer: Any) -> tuple[str, bool] | None:
    """What a BatchNormalization has seen."""
    if not isinstance(layer, keras.layers.BatchNormalization) or layer.moving_mean._value is None:
        return None
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    if not (np.isfinite(mean).all() and np.isfinite(variance).all()):
        return None
    if np.abs(mean).mean() > _FAR and variance.mean() > 64:
        return "none", True
    if (mean > 0.02).all() and (mean < 1).all() and (variance < 0.3).all():
        return "unit", False
    return None


def _mean(values: Any) -> float:
    return float(np.asarray(values, np.float64).mean())
