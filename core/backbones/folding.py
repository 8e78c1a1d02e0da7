"""The way from an image to some layers, made for speed: what inference needs and no more.

BatchNorm is folded into the convolution before it, and where only one channel of a layer is wanted, only that channel
of the last convolution is computed: for the first layers of VGG16 that saves nineteen parts of twenty. The numbers are
those of the Keras model up to rounding; the weights are copies, in the precision that was asked for.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core.backbones import graph
from core.backbones.pooling import max_pool

L = keras.layers
# Of a kernel: alone, a channel takes a copy of its input's maps for each of them, and its gradient one more. Beyond
# 7 × 7 (the patches of a vision transformer) that is more memory, and more work, than all channels at once.
_MOST_PLACES = 49
_CONVOLUTIONS = (L.Conv2D, L.DepthwiseConv2D, L.SeparableConv2D, L.Dense)
_IDENTITIES = (L.Dropout, L.SpatialDropout2D, L.GaussianDropout, L.GaussianNoise, L.ActivityRegularization, L.Identity)
# These mix no channels, so one channel of what they give is what they give for one channel.
_CHANNEL_BY_CHANNEL = (
    *(L.ReLU, L.LeakyReLU, L.ELU, L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum),
    *(L.MaxPooling2D, L.AveragePooling2D, L.ZeroPadding2D, L.Cropping2D),
)
_IN_ANY_PRECISION = (*_CHANNEL_BY_CHANNEL, L.Concatenate, L.Flatten, L.Reshape, L.Permute)
_POINTWISE = {
    *("linear", "relu", "relu6", "silu", "gelu", "sigmoid", "tanh", "elu", "selu", "softplus", "softsign", "mish"),
    *("hard_sigmoid", "hard_silu", "leaky_relu", "exponential"),
}
_RECTIFIERS = {"relu": None, "relu6": 6.0}


class FoldedNetwork:
    """From images `float32[B, H, W, 3]` to the outputs of a flat functional model, in `dtype`.

    `rescue` lets the gradient of the score through a ReLU where all of an image's is blocked, as Lucid does.
    """

    def __init__(self, model: keras.Model, dtype: str = "float32") -> None:
        self._dtype = tf.as_dtype(dtype)
        self._input = id(model.inputs[0])
        self._outputs = [id(output) for output in model.outputs]
        nodes = _nodes(model)
        self._steps = _fold(nodes, self._outputs, self._dtype)
        numbers = [math.prod(side or 1 for side in tensor.shape[1:]) for node in nodes for tensor in node.outputs]
        self.bytes_per_image = sum(numbers) * self._dtype.size  # of all activations, which a gradient needs
        self.largest_bytes_per_image = max(numbers, default=0) * self._dtype.size
        self._by_output = {step.output: step for step in self._steps}
        self._whole = self._needed_whole()

    def __call__(self, images: tf.Tensor, rescue: bool = False) -> list[tf.Tensor]:
        """Every output with all of its channels."""
        values = self._run(images, rescue, None)
        return [values[output] for output in self._outputs]

    def channel(self, images: tf.Tensor, targets: tf.Tensor, rescue: bool = False) -> list[tf.Tensor]:
        """Of every output, for each image, the channel `targets[B]` alone: `[B, h, w, 1]` or `[B, 1]`."""
        values = self._run(images, rescue, self._whole)
        return [self._pick(output, values, targets, rescue) for output in self._outputs]

    def _run(self, images: tf.Tensor, rescue: bool, wanted: set[int] | None) -> dict[int, tf.Tensor]:
        values = {self._input: tf.cast(images, self._dtype)}
        for step in self._steps:
            if wanted is None or step.output in wanted:
                values[step.output] = step.whole([values[each] for each in step.inputs], rescue)
        return values

    def _pick(self, output: int, values: dict[int, tf.Tensor], targets: tf.Tensor, rescue: bool) -> tf.Tensor:
        if output in values:
            return tf.gather(values[output], targets[:, None], axis=-1, batch_dims=1)
        step = self._by_output[output]
        if step.project is not None:
            return step.project(values[step.inputs[0]], targets, rescue)
        targets_before = step.channel_before(targets)
        parts = [self._pick(each, values, targets_before, rescue) for each in step.inputs]
        return step.one(parts, targets, rescue)

    def _needed_whole(self) -> set[int]:
        """The tensors of which one channel is not enough, when of the outputs one channel is wanted."""
        whole, waiting, seen = set(), list(self._outputs), set()
        while waiting:
            output = waiting.pop()
            step = self._by_output.get(output)
            if step is None or (output in seen):
                continue
            seen.add(output)
            if step.project is not None:
                whole.update(step.inputs)
            elif step.one is not None:
                waiting.extend(step.inputs)
            else:
                whole.add(output)
        for step in reversed(self._steps):
            if step.output in whole:
                whole.update(step.inputs)
        return whole


Rescuing = Callable[[tf.Tensor, bool], tf.Tensor]


@dataclass(frozen=True)
class _Step:
    """`whole(inputs, rescue)` gives all channels.

    `project(input, targets, rescue)` gives one channel from all channels of the input; `one(inputs, targets, rescue)`
    gives it from one channel of each input, that of number `channel_before(targets)`. At most one of the two is there.
    """

    inputs: tuple[int, ...]
    output: int
    whole: Callable[[list[tf.Tensor], bool], tf.Tensor]
    project: Callable[[tf.Tensor, tf.Tensor, bool], tf.Tensor] | None = None
    one: Callable[[list[tf.Tensor], tf.Tensor, bool], tf.Tensor] | None = None
    channel_before: Callable[[tf.Tensor], tf.Tensor] = lambda targets: targets


def _nodes(model: keras.Model) -> list[Any]:
    """The calls of operations in the order of computation; the input's own is left out."""
    depths = sorted(model._nodes_by_depth, reverse=True)
    return [node for depth in depths for node in model._nodes_by_depth[depth] if not node.is_input]


def _fold(nodes: list[Any], outputs: list[int], dtype: tf.DType) -> list[_Step]:
    uses = Counter([*outputs, *(id(tensor) for node in nodes for tensor in node.input_tensors)])
    linear: dict[int, _Linear] = {}  # what ends in a convolution without activation, by its output
    steps: dict[int, _Step] = {}
    for node in nodes:
        operation = graph.operation_of(node.outputs[0])
        inputs, output = tuple(id(tensor) for tensor in node.input_tensors), id(node.outputs[0])
        if _is_convolution(operation, node):
            layer = _Linear.of(operation)
            if layer.activation is None:
                linear[output] = layer
            steps[output] = layer.step(inputs, output, dtype)
        elif _is_batch_norm(operation, node) and inputs[0] in linear and uses[inputs[0]] == 1:
            layer = linear[inputs[0]].scaled(*_scale_and_offset(operation))
            steps[output] = layer.step(steps.pop(inputs[0]).inputs, output, dtype)
        elif _is_batch_norm(operation, node):
            steps[output] = _scaling(operation, inputs, output, dtype)
        else:
            for place, tensor in enumerate(node.outputs):
                if place == 0 or uses[id(tensor)]:
                    steps[id(tensor)] = _other(operation, node, inputs, place, dtype)
    return list(steps.values())


def _is_convolution(operation: Any, node: Any) -> bool:
    if type(operation) not in _CONVOLUTIONS or getattr(operation, "quantization_mode", None):
        return False
    if type(operation) is L.Dense:
        return True
    groups = getattr(operation, "groups", 1)
    return operation.data_format == "channels_last" and (groups == 1 or _is_depthwise(operation, node))


def _is_depthwise(operation: Any, node: Any) -> bool:
    """A convolution in as many groups as there are channels (ConvNeXt's), which no processor has a quick gradient of.
    The depthwise operation wants equal strides, and no dilation with them."""
    strides, dilations = operation.strides, operation.dilation_rate
    plain = strides[0] == strides[1] and (max(strides) == 1 or max(dilations) == 1)
    return type(operation) is L.Conv2D and operation.groups == node.input_tensors[0].shape[-1] and plain


def _is_batch_norm(operation: Any, node: Any) -> bool:
    return type(operation) is L.BatchNormalization and operation.axis in (-1, len(node.outputs[0].shape) - 1)


def _scale_and_offset(norm: Any) -> tuple[np.ndarray, np.ndarray]:
    scale = 1 / np.sqrt(_numbers(norm.moving_variance) + norm.epsilon)
    if norm.scale:
        scale = scale * _numbers(norm.gamma)
    offset = -_numbers(norm.moving_mean) * scale
    return scale, offset + _numbers(norm.beta) if norm.center else offset


def _numbers(variable: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable), np.float64)


@dataclass(frozen=True)
class _Linear:
    """A convolution (depthwise, pointwise, or one after the other) or dense layer, as numbers."""

    depthwise: np.ndarray | None  # [kh, kw, Cin, multiplier]
    kernel: np.ndarray | None  # [kh, kw, Cin, Cout]; of a dense layer [Cin, Cout]
    bias: np.ndarray | None
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: str
    activation: Any

    @classmethod
    def of(cls, layer: Any) -> _Linear:
        depthwise = kernel = None
        if isinstance(layer, L.SeparableConv2D):
            depthwise, kernel = _numbers(layer.depthwise_kernel), _numbers(layer.pointwise_kernel)
        elif isinstance(layer, L.DepthwiseConv2D):
            depthwise = _numbers(layer.kernel)
        elif getattr(layer, "groups", 1) > 1:  # [kh, kw, 1, channels × multiplier], the multiples side by side
            high, wide, _, outputs = layer.kernel.shape
            depthwise = _numbers(layer.kernel).reshape(high, wide, layer.groups, outputs // layer.groups)
        else:
            kernel = _numbers(layer.kernel)
        activation = None if _name(layer.activation) == "linear" else layer.activation
        bias = _numbers(layer.bias) if layer.use_bias else None
        if isinstance(layer, L.Dense):
            return cls(None, kernel, bias, (1, 1), (1, 1), "VALID", activation)
        strides, dilations = tuple(layer.strides), tuple(layer.dilation_rate)
        return cls(depthwise, kernel, bias, strides, dilations, layer.padding.upper(), activation)

    @property
    def _places(self) -> int:
        """Of the kernel that is not depthwise: height × width."""
        return 1 if self.kernel is None else math.prod(self.kernel.shape[:-2])

    def scaled(self, scale: np.ndarray, offset: np.ndarray) -> _Linear:
        """The same followed by `scale * x + offset` on each channel."""
        bias = offset if self.bias is None else self.bias * scale + offset
        if self.kernel is not None:
            return replace(self, kernel=self.kernel * scale, bias=bias)
        return replace(self, depthwise=self.depthwise * scale.reshape(self.depthwise.shape[2:]), bias=bias)

    def step(self, inputs: tuple[int, ...], output: int, dtype: tf.DType) -> _Step:
        compute = _Convolution(self, dtype)
        if not _is_pointwise(self.activation) or self._places > _MOST_PLACES:
            return _Step(inputs, output, compute.whole)
        if self.kernel is not None:
            return _Step(inputs, output, compute.whole, project=compute.project)
        multiplier = self.depthwise.shape[3]
        return _Step(inputs, output, compute.whole, one=compute.one, channel_before=lambda which: which // multiplier)


class _Convolution:
    """A `_Linear` and its activation in TensorFlow, for all channels of the output or for one of each image."""

    def __init__(self, layer: _Linear, dtype: tf.DType) -> None:
        self._layer = layer
        self._depthwise, self._kernel, self._bias = (
            None if numbers is None else tf.cast(tf.constant(numbers, tf.float32), dtype)
            for numbers in (layer.depthwise, layer.kernel, layer.bias)
        )
        self._activation = _activation(layer.activation)

    def whole(self, inputs: list[tf.Tensor], rescue: bool) -> tf.Tensor:
        x = self._before_kernel(inputs[0])
        if self._is_product():
            return self._product(x, rescue)
        if self._kernel is not None:
            if self._kernel.shape.rank == 2:
                x = tf.linalg.matmul(x, self._kernel) if x.shape.rank == 2 else tf.tensordot(x, self._kernel, 1)
            else:
                strides, padding, dilations = self._of_kernel()
                x = tf.nn.conv2d(x, self._kernel, strides, padding, dilations=dilations)
        return self._activation(x if self._bias is None else tf.nn.bias_add(x, self._bias), rescue)

    def _is_product(self) -> bool:
        """Whether it is a 1×1 convolution that leaves out no pixel."""
        kernel = self._kernel
        return kernel is not None and tuple(kernel.shape[:-2]) == (1, 1) and self._of_kernel()[0] == (1, 1)

    def _product(self, x: tf.Tensor, rescue: bool) -> tf.Tensor:
        """All pixels of all images times the kernel: the gradient of a product takes half the time of a convolution's.

        Bias and activation come before the pixels are put back into their images, so that TensorFlow makes one
        operation of all three; a rescue looks at whole images.
        """
        pixels = tf.linalg.matmul(tf.reshape(x, [-1, x.shape[-1]]), self._kernel[0, 0])
        pixels = pixels if self._bias is None else tf.nn.bias_add(pixels, self._bias)
        early = not rescue and _is_pointwise(self._layer.activation)
        pixels = self._activation(pixels, rescue) if early else pixels
        x = tf.reshape(pixels, [-1, *x.shape[1:-1], pixels.shape[-1]])
        return x if early else self._activation(x, rescue)

    def project(self, x: tf.Tensor, targets: tf.Tensor, rescue: bool) -> tf.Tensor:
        x = self._before_kernel(x)
        if math.prod(self._kernel.shape[:-2]) == 1 and self._of_kernel()[0] == (1, 1):
            kernels = tf.gather(tf.reshape(self._kernel, [-1, self._kernel.shape[-1]]), targets, axis=1)  # [Cin, B]
            kernels = tf.reshape(tf.transpose(kernels), [-1, *[1] * (x.shape.rank - 2), x.shape[-1]])
            x = tf.reduce_sum(x * kernels, axis=-1, keepdims=True)
        else:
            x = self._one_channel(x, targets)
        return self._activation(self._add_bias(x, targets), rescue)

    def one(self, inputs: list[tf.Tensor], targets: tf.Tensor, rescue: bool) -> tf.Tensor:
        """A depthwise convolution of one channel of each image: the images take the place of the channels."""
        kernels = tf.gather(tf.reshape(self._depthwise, [*self._depthwise.shape[:2], -1]), targets, axis=2)
        layer, side_by_side = self._layer, tf.transpose(inputs[0], [3, 1, 2, 0])
        strides = (1, *layer.strides, 1)
        x = tf.nn.depthwise_conv2d(side_by_side, kernels[..., None], strides, layer.padding, dilations=layer.dilations)
        return self._activation(self._add_bias(tf.transpose(x, [3, 1, 2, 0]), targets), rescue)

    def _before_kernel(self, x: tf.Tensor) -> tf.Tensor:
        if self._depthwise is None:
            return x
        layer = self._layer
        strides = (1, *layer.strides, 1)
        return tf.nn.depthwise_conv2d(x, self._depthwise, strides, layer.padding, dilations=layer.dilations)

    def _of_kernel(self) -> tuple[tuple[int, int], str, tuple[int, int]]:
        """Strides, padding and dilations of the kernel; before a pointwise one the depthwise has had them."""
        layer = self._layer
        return (layer.strides, layer.padding, layer.dilations) if layer.depthwise is None else ((1, 1), "VALID", (1, 1))

    def _one_channel(self, x: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        """Each image's own kernel: a product for every place of the kernel, then these maps shifted and added.

        A grouped convolution would do it too, but not on every device and not in every precision.
        """
        strides, padding, dilations = self._of_kernel()
        high, wide, channels, _ = self._kernel.shape
        kernels = tf.transpose(tf.gather(self._kernel, targets, axis=3), [3, 2, 0, 1])  # [B, Cin, kh, kw]
        height, width = x.shape[1:3]
        pixels = tf.reshape(x, [-1, height * width, channels])
        maps = tf.linalg.matmul(pixels, tf.reshape(kernels, [-1, channels, high * wide]))
        maps = tf.reshape(maps, [-1, height, width, high * wide])
        down = _places(height, high, strides[0], dilations[0], padding)
        right = _places(width, wide, strides[1], dilations[1], padding)
        maps = tf.pad(maps, [[0, 0], down.padding, right.padding, [0, 0]])
        parts = [
            maps[:, top : top + down.reach : strides[0], left : left + right.reach : strides[1], row * wide + column]
            for row, top in enumerate(down.starts)
            for column, left in enumerate(right.starts)
        ]
        return tf.add_n(parts)[..., None]

    def _add_bias(self, x: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        if self._bias is None:
            return x
        return x + tf.reshape(tf.gather(self._bias, targets), [-1, *[1] * (x.shape.rank - 1)])


@dataclass(frozen=True)
class _Places:
    """Along one axis: what to pad with, where each row of the kernel starts to read, and how far it reads."""

    padding: tuple[int, int]
    starts: tuple[int, ...]
    reach: int


def _places(length: int, kernel: int, stride: int, dilation: int, padding: str) -> _Places:
    extent = (kernel - 1) * dilation + 1
    count = math.ceil(length / stride) if padding == "SAME" else (length - extent) // stride + 1
    missing = max(0, (count - 1) * stride + extent - length) if padding == "SAME" else 0
    starts = tuple(place * dilation for place in range(kernel))
    return _Places((missing // 2, missing - missing // 2), starts, (count - 1) * stride + 1)


def _scaling(norm: Any, inputs: tuple[int, ...], output: int, dtype: tf.DType) -> _Step:
    scale, offset = (tf.cast(tf.constant(each, tf.float32), dtype) for each in _scale_and_offset(norm))

    def one(parts: list[tf.Tensor], targets: tf.Tensor, rescue: bool) -> tf.Tensor:
        (x,) = parts
        shape = [-1, *[1] * (x.shape.rank - 1)]
        return x * tf.reshape(tf.gather(scale, targets), shape) + tf.reshape(tf.gather(offset, targets), shape)

    return _Step(inputs, output, lambda parts, rescue: parts[0] * scale + offset, one=one)


def _other(operation: Any, node: Any, inputs: tuple[int, ...], place: int, dtype: tf.DType) -> _Step:
    """Any other operation, of which output number `place` is wanted; in float32 where it has weights or ideas of its
    own about precision."""
    kind, output = type(operation), id(node.outputs[place])
    if kind in _IDENTITIES:
        return _one_by_one(inputs, output, lambda parts, rescue: parts[0], True)
    activation = _activation_of(operation)
    if activation is not None:
        compute = _activation(activation)
        return _one_by_one(inputs, output, lambda parts, rescue: compute(parts[0], rescue), _is_pointwise(activation))
    if kind is L.MaxPooling2D and operation.data_format == "channels_last":
        how = (tuple(operation.pool_size), tuple(operation.strides), operation.padding.upper())
        return _one_by_one(inputs, output, lambda parts, rescue: max_pool(parts[0], *how), True)
    light = kind in _IN_ANY_PRECISION

    def whole(parts: list[tf.Tensor], rescue: bool) -> tf.Tensor:
        if not light:
            parts = [tf.cast(part, tf.float32) if part.dtype.is_floating else part for part in parts]
        arguments, named = node.arguments.fill_in(dict(zip(inputs, parts, strict=True)))
        if light:
            named = {name: value for name, value in named.items() if name not in ("training", "mask")}
            result = operation.call(*arguments, **named)
        else:
            result = graph.infer(operation, arguments, dict(named))
        result = keras.tree.flatten(result)[place]
        return tf.cast(result, dtype) if result.dtype.is_floating else result

    return _one_by_one(inputs, output, whole, kind in _CHANNEL_BY_CHANNEL and _same_channels(node))


def _same_channels(node: Any) -> bool:
    """Not so where an operand is broadcast along the channels."""
    channels = node.outputs[0].shape[-1]
    rank = len(node.outputs[0].shape)
    return all(len(tensor.shape) == rank and tensor.shape[-1] == channels for tensor in node.input_tensors)


def _one_by_one(
    inputs: tuple[int, ...], output: int, whole: Callable[[list[tf.Tensor], bool], tf.Tensor], pointwise: bool
) -> _Step:
    if not pointwise:
        return _Step(inputs, output, whole)
    return _Step(inputs, output, whole, one=lambda parts, targets, rescue: whole(parts, rescue))


def _name(activation: Any) -> str:
    return getattr(activation, "__name__", "")


def _is_pointwise(activation: Any) -> bool:
    return activation is None or _name(activation) in _POINTWISE


def _activation_of(operation: Any) -> Any | None:
    """The function that an activation layer applies, or an operation such as `keras.ops.relu` is."""
    kind = type(operation)
    if kind is L.Activation:
        return operation.activation
    if kind is L.ReLU and not operation.negative_slope and not operation.threshold:
        return {None: keras.activations.relu, 6: keras.activations.relu6}.get(operation.max_value)
    if kind.__module__ == "keras.src.ops.nn":
        return {"Relu": keras.activations.relu, "Relu6": keras.activations.relu6}.get(kind.__name__)
    return None


def _activation(function: Any) -> Rescuing:
    if function is None or _name(function) == "linear":
        return lambda x, rescue: x
    if _name(function) in _RECTIFIERS:
        limit = _RECTIFIERS[_name(function)]
        plain = tf.nn.relu if limit is None else tf.nn.relu6
        return lambda x, rescue: _rescuing_relu(x, limit) if rescue else plain(x)
    return lambda x, rescue: function(x)


def _rescuing_relu(x: tf.Tensor, limit: float | None) -> tf.Tensor:
    """A ReLU that lets an image's gradient through where all of it would be blocked, save to where it only harms.

    Source: `redirected_relu_grad` of Lucid (Olah et al., 2017); here the gradient is of what is to be maximised.
    """

    @tf.custom_gradient
    def relu(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        y = tf.nn.relu(x) if limit is None else tf.nn.relu6(x)
        plain = tf.raw_ops.ReluGrad if limit is None else tf.raw_ops.Relu6Grad

        def rescue(passed: tf.Tensor, through: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
            zero, away = tf.zeros_like(upstream), (x <= 0) & (upstream < 0)
            if limit is not None:
                away |= (x >= limit) & (upstream > 0)
            return tf.where(through, passed, tf.where(away, zero, upstream))

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            passed = plain(gradients=upstream, features=y)
            through = tf.reduce_any(passed != 0, axis=list(range(1, x.shape.rank)), keepdims=True)
            # Seldom is an image blocked: the others need not pay for it.
            return tf.cond(tf.reduce_all(through), lambda: passed, lambda: rescue(passed, through, upstream))

        return y, gradient

    return relu(x)
