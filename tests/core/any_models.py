"""Networks of many shapes, as a person may bring them: tiny, always the same, built with plain Keras.

Each knows what it must be given for a photo, said in plain NumPy: what the app makes of a file is held against the
network itself, called as its maker would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tests.core.tiny import with_seeded_weights

L, ops = keras.layers, keras.ops
Given = Callable[[np.ndarray], Any]  # float32[B, h, w, 3], what `Backbone.model` takes -> what the network itself takes
SIZE = 16


@dataclass(frozen=True)
class Shape:
    """One network: `size` (height, width) is that of the photos it is looked at with; `classes` says whether its answer
    can be read as classes; `close` is how near its file's answers must be to its own."""

    name: str
    build: Callable[[], keras.Model]
    given: Given
    size: tuple[int, int]
    classes: bool = True
    suffix: str = ".keras"
    close: float = 1e-6
    finite: bool = True
    twin: Callable[[], keras.Model] | None = None  # the same network in another form, where a processor needs one
    twins_given: Given | None = None
    answer: Callable[[Any], Any] = field(default=lambda outputs: outputs)  # the one of several that is the prediction

    def answers(self, model: keras.Model, pixels: np.ndarray) -> np.ndarray:
        """What the network's maker gets for photos that are preprocessed."""
        given = self.given
        if self.twin is not None:
            twin = self.twin()
            twin.set_weights(model.get_weights())
            model, given = twin, self.twins_given
        return np.asarray(self.answer(model(given(pixels), training=False)), np.float32)

    def save(self, folder: Path) -> tuple[Path, keras.Model]:
        """The file, and the network as it was saved."""
        model = self.build()
        path = folder / f"{self.name}{self.suffix}"
        model.save(path)
        return path, model


SHAPES: dict[str, Shape] = {}


def shape(
    size: int | tuple[int, int] = SIZE, *, given: Given | None = None, name: str | None = None, **facts: Any
) -> Callable[[Callable[[], keras.Model]], Callable[[], keras.Model]]:
    """Register the network that the function below builds; its weights are drawn by a seed unless it says `own`."""
    own = facts.pop("own_weights", False)

    def register(build: Callable[[], keras.Model]) -> Callable[[], keras.Model]:
        def seeded() -> keras.Model:
            if not own:
                return with_seeded_weights(build())
            keras.utils.set_random_seed(7)
            return build()

        title = name or build.__name__
        sides = (size, size) if isinstance(size, int) else size
        SHAPES[title] = Shape(title, seeded, given or unchanged, sides, **facts)
        return seeded

    return register


# What a network is given for a photo


def unchanged(photos: np.ndarray) -> np.ndarray:
    return photos


def grey(photos: np.ndarray) -> np.ndarray:
    """`[B, h, w, 1]`: the luma of ITU-R BT.601."""
    return (photos @ np.array([0.299, 0.587, 0.114], np.float32))[..., None]


def channels_first(photos: np.ndarray) -> np.ndarray:
    return np.moveaxis(photos, -1, 1)


def _bands(count: int) -> Given:
    """Red, green and blue in the first bands, the others at zero."""
    return lambda photos: np.pad(photos, [(0, 0)] * 3 + [(0, count - 3)])


def _flat(photos: np.ndarray) -> np.ndarray:
    return photos.reshape(len(photos), -1)


def _grey_flat(photos: np.ndarray) -> np.ndarray:
    return _flat(grey(photos))


def _rows(photos: np.ndarray) -> np.ndarray:
    """`[B, h, w]`: each row of the grey photo is a step."""
    return grey(photos)[..., 0]


# Plain ones, and ones in one another


def _photo(size: int | None = SIZE, channels: int = 3, **named: Any) -> Any:
    return keras.Input((size, size, channels), **named)


def _conv(units: int, name: str | None = None, **named: Any) -> Any:
    return L.Conv2D(units, 3, padding="same", activation="relu", name=name, **named)


def _classes(x: Any, count: int = 3, activation: str | None = "softmax") -> Any:
    return L.Dense(count, activation=activation, name="classes")(L.GlobalAveragePooling2D(name="pool")(x))


@shape()
def plain() -> keras.Model:
    inputs = _photo()
    x = _conv(4, "conv1")(inputs)
    x = L.BatchNormalization(name="norm")(x)
    x = L.MaxPooling2D(name="pool1")(x)
    x = _conv(6, "conv2", strides=2)(x)
    return keras.Model(inputs, _classes(x), name="plain")


@shape(suffix=".h5")
def plain_h5() -> keras.Model:
    inputs = _photo()
    x = L.MaxPooling2D(name="pool1")(L.BatchNormalization(name="norm")(_conv(4, "conv1")(inputs)))
    return keras.Model(inputs, _classes(_conv(6, "conv2")(x)), name="plain")


@shape()
def sequential() -> keras.Model:
    return keras.Sequential(
        [_photo(), _conv(4), L.MaxPooling2D(), _conv(6), L.Flatten(), L.Dense(8, "relu"), L.Dense(3, "softmax")]
    )


@shape(suffix=".h5")
def sequential_h5() -> keras.Model:
    return keras.Sequential([_photo(), _conv(4), L.MaxPooling2D(), L.Flatten(), L.Dense(3, "softmax")])


def _inner(name: str = "inner", channels: int = 3, size: int | None = SIZE) -> keras.Model:
    inputs = _photo(size, channels)
    return keras.Model(inputs, L.BatchNormalization(name="bn")(_conv(4, "conv")(inputs)), name=name)


@shape()
def functional_in_functional() -> keras.Model:
    inputs = _photo()
    return keras.Model(inputs, _classes(_inner()(L.Rescaling(1 / 128, -1.0)(inputs), training=False)))


@shape(suffix=".h5")
def functional_in_functional_h5() -> keras.Model:
    inputs = _photo()
    return keras.Model(inputs, _classes(_inner()(L.Rescaling(1 / 128, -1.0)(inputs))))


@shape()
def sequential_in_functional() -> keras.Model:
    inputs = _photo()
    stage = keras.Sequential([_conv(4, "conv"), L.MaxPooling2D(name="down")], name="stage")
    return keras.Model(inputs, _classes(stage(inputs)))


@shape()
def functional_in_sequential() -> keras.Model:
    return keras.Sequential([_photo(), _inner(), L.GlobalAveragePooling2D(), L.Dense(3, "softmax")])


@shape()
def three_levels() -> keras.Model:
    middle_inputs = _photo()
    middle = keras.Model(middle_inputs, _conv(5, "conv")(_inner()(middle_inputs)), name="middle")
    outer = keras.Sequential([_photo(), middle, L.MaxPooling2D(name="down")], name="outer")
    inputs = _photo()
    return keras.Model(inputs, _classes(outer(inputs)))


@shape()
def shared_layer() -> keras.Model:
    inputs = _photo()
    twice = _conv(3, "twice")
    return keras.Model(inputs, _classes(twice(twice(inputs))))


@shape()
def siamese() -> keras.Model:
    """One nested model sees the photo and its mirror image."""
    inputs, inner = _photo(), _inner()
    both = L.Concatenate(name="both")([inner(inputs), inner(ops.flip(inputs, axis=2))])
    return keras.Model(inputs, _classes(both))


@shape()
def equal_names() -> keras.Model:
    inputs = _photo()
    x = _inner("right", channels=4)(_inner("left")(_conv(3, "conv")(inputs)))
    return keras.Model(inputs, _classes(_conv(4, "bn")(x)))


@shape()
def residual() -> keras.Model:
    inputs = _photo()
    x = _conv(4, "stem")(inputs)
    for number in (1, 2):
        y = L.Conv2D(4, 3, padding="same", use_bias=False, name=f"conv{number}")(x)
        y = L.Activation("relu", name=f"relu{number}")(L.BatchNormalization(name=f"norm{number}")(y))
        x = L.Add(name=f"add{number}")([x, y])
    return keras.Model(inputs, _classes(x))


@shape()
def branches() -> keras.Model:
    inputs = _photo()
    small, large = L.Conv2D(3, 1, activation="relu", name="small")(inputs), L.Conv2D(3, 5, padding="same")(inputs)
    pooled = L.AveragePooling2D(3, 1, padding="same")(inputs)
    return keras.Model(inputs, _classes(L.Concatenate(name="mixed")([small, L.LeakyReLU()(large), pooled])))


@shape()
def separable() -> keras.Model:
    inputs = _photo()
    x = L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(inputs)
    x = L.SeparableConv2D(6, 3, strides=2, padding="same", activation="relu", name="separable")(L.ReLU(6.0)(x))
    return keras.Model(inputs, _classes(L.Conv2D(6, 3, groups=2, dilation_rate=2, padding="same")(x)))


@shape(classes=False)
def autoencoder() -> keras.Model:
    inputs = _photo()
    x = _conv(4, "down", strides=2)(inputs)
    x = L.Conv2DTranspose(4, 3, strides=2, padding="same", activation="relu", name="up")(x)
    return keras.Model(inputs, L.Conv2D(3, 1, activation="sigmoid", name="picture")(x))


@shape(classes=False)
def u_net() -> keras.Model:
    """One label for each pixel."""
    inputs = _photo()
    wide = _conv(4, "wide")(inputs)
    deep = _conv(6, "deep")(L.MaxPooling2D(name="down")(wide))
    back = L.Concatenate(name="skip")([wide, L.UpSampling2D(name="up")(deep)])
    return keras.Model(inputs, L.Conv2D(3, 1, activation="softmax", name="labels")(_conv(4, "merged")(back)))


# Several outputs, several inputs


def _first(outputs: Any) -> Any:
    return outputs[0] if isinstance(outputs, list | tuple) else next(iter(outputs.values()))


@shape(answer=_first)
def two_outputs() -> keras.Model:
    """What it is, and where."""
    inputs = _photo()
    x = L.GlobalAveragePooling2D(name="pool")(_conv(4, "conv")(inputs))
    return keras.Model(inputs, [L.Dense(3, "softmax", name="what")(x), L.Dense(4, "sigmoid", name="where")(x)])


@shape(answer=lambda outputs: outputs["what"])
def outputs_by_name() -> keras.Model:
    inputs = _photo()
    x = L.GlobalAveragePooling2D(name="pool")(_conv(4, "conv")(inputs))
    what, where = L.Dense(3, "softmax", name="what")(x), L.Dense(2, name="where")(x)
    return keras.Model(inputs, {"what": what, "where": where})


@shape(given=lambda photos: [photos, np.zeros((len(photos), 5), np.float32)])
def photo_and_facts() -> keras.Model:
    """A photo and a list of five numbers."""
    inputs, facts = _photo(name="photo"), keras.Input((5,), name="facts")
    x = L.GlobalAveragePooling2D(name="pool")(_conv(4, "conv")(inputs))
    x = L.Concatenate(name="joined")([x, L.Dense(4, "relu", name="of_facts")(facts)])
    return keras.Model([inputs, facts], L.Dense(3, "softmax", name="classes")(x))


@shape(given=lambda photos: {"facts": np.zeros((len(photos), 5), np.float32), "photo": photos})
def inputs_by_name() -> keras.Model:
    inputs, facts = _photo(name="photo"), keras.Input((5,), name="facts")
    x = L.GlobalAveragePooling2D(name="pool")(_conv(4, "conv")(inputs))
    x = L.Concatenate(name="joined")([x, L.Dense(4, "relu", name="of_facts")(facts)])
    return keras.Model({"facts": facts, "photo": inputs}, L.Dense(3, "softmax", name="classes")(x))


@shape(given=lambda photos: [photos, np.zeros_like(photos)])
def two_photos() -> keras.Model:
    before, after = _photo(name="before"), _photo(name="after")
    inner = _inner()
    return keras.Model([before, after], _classes(L.Subtract(name="change")([inner(before), inner(after)])))


# Sizes and channels


@shape(28, given=grey)
def digits() -> keras.Model:
    """28 × 28, one channel."""
    inputs = _photo(28, 1)
    x = L.MaxPooling2D(name="pool1")(L.Conv2D(4, 3, activation="relu", name="conv1")(inputs))
    x = L.MaxPooling2D(name="pool2")(L.Conv2D(6, 3, activation="relu", name="conv2")(x))
    return keras.Model(inputs, L.Dense(10, "softmax", name="classes")(L.Flatten(name="flat")(x)), name="digits")


@shape(28, given=_rows)
def digits_without_channels() -> keras.Model:
    """28 × 28, no axis of channels: as many first lessons begin."""
    inputs = keras.Input((28, 28))
    x = L.Dense(16, "relu", name="hidden")(L.Flatten(name="flat")(inputs))
    return keras.Model(inputs, L.Dense(10, "softmax", name="classes")(x))


@shape(28, given=_rows)
def digits_reshaped() -> keras.Model:
    """28 × 28 without channels, but with convolutions, behind a layer that adds the axis."""
    inputs = keras.Input((28, 28))
    x = L.Conv2D(4, 3, activation="relu", name="conv")(L.Reshape((28, 28, 1), name="with_channel")(inputs))
    return keras.Model(inputs, L.Dense(10, "softmax", name="classes")(L.GlobalMaxPooling2D(name="pool")(x)))


@shape(given=_bands(5))
def five_bands() -> keras.Model:
    inputs = _photo(SIZE, 5)
    return keras.Model(inputs, _classes(_conv(6, "conv2")(_conv(4, "conv1")(inputs))))


def _first_or_last(first: bool) -> keras.Model:
    """A network with its channels before height and width; and, for what it must answer, the same one the usual way:
    TensorFlow's processors cannot compute the first one (and its compiler, which can, does so wrongly)."""
    order = {"data_format": "channels_first" if first else "channels_last"}
    axis = 1 if first else -1
    inputs = keras.Input((3, SIZE, SIZE) if first else (SIZE, SIZE, 3))
    x = L.Conv2D(4, 3, padding="same", activation="relu", name="conv1", **order)(inputs)
    x = L.MaxPooling2D(name="down", **order)(L.BatchNormalization(axis=axis, name="norm")(x))
    wide = L.DepthwiseConv2D(3, padding="same", name="depthwise", **order)(x)
    x = L.Concatenate(axis=axis, name="both")([L.ReLU(name="relu")(wide), x])
    x = L.Conv2D(6, 3, strides=2, name="conv2", **order)(x)
    x = L.Flatten(name="flat")(x if first else L.Permute((3, 1, 2))(x))
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(L.Dense(8, "relu", name="hidden")(x)))


@shape(given=channels_first, close=1e-5, twin=lambda: _first_or_last(False), twins_given=unchanged)
def channels_before_sides() -> keras.Model:
    return _first_or_last(True)


def _pooled_first_or_last(first: bool) -> keras.Model:
    order = {"data_format": "channels_first" if first else "channels_last"}
    inner_inputs = keras.Input((3, SIZE, SIZE) if first else (SIZE, SIZE, 3))
    inner = keras.Model(
        inner_inputs, L.Conv2D(4, 3, activation="relu", name="conv", **order)(inner_inputs), name="inner"
    )
    x = L.GlobalAveragePooling2D(name="pool", **order)(L.UpSampling2D(name="up", **order)(inner(inner_inputs)))
    return keras.Model(inner_inputs, L.Dense(3, name="classes")(x))


@shape(given=channels_first, close=1e-5, twin=lambda: _pooled_first_or_last(False), twins_given=unchanged)
def channels_before_sides_nested() -> keras.Model:
    return _pooled_first_or_last(True)


@shape(224)
def flexible() -> keras.Model:
    inputs = _photo(None)
    return keras.Model(inputs, _classes(_conv(4, "conv2", strides=4)(_conv(3, "conv1", strides=4)(inputs))))


@shape((12, 20))
def oblong() -> keras.Model:
    inputs = keras.Input((12, 20, 3))
    x = L.Flatten(name="flat")(_conv(3, "conv", strides=2)(inputs))
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(x))


# Without convolutions


@shape(28, given=_grey_flat)
def mlp() -> keras.Model:
    """784 numbers."""
    inputs = keras.Input((784,))
    x = L.Dense(8, "relu", name="hidden2")(L.Dense(16, "relu", name="hidden1")(inputs))
    return keras.Model(inputs, L.Dense(10, "softmax", name="classes")(x))


@shape(28, given=_grey_flat, suffix=".h5")
def mlp_h5() -> keras.Model:
    return keras.Sequential([keras.Input((784,)), L.Dense(16, "relu"), L.Dense(10, "softmax")])


@shape()
def flattened_colours() -> keras.Model:
    inputs = _photo()
    x = L.Dense(12, "relu", name="hidden")(L.Flatten(name="flat")(inputs))
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(x))


# What is inside


@shape()
def rescaling() -> keras.Model:
    inputs = _photo()
    return keras.Model(inputs, _classes(_conv(4, "conv")(L.Rescaling(1 / 127.5, -1.0, name="scaled")(inputs))))


@shape(own_weights=True)
def normalization() -> keras.Model:
    inputs = _photo()
    layer = L.Normalization(mean=[120.0, 110.0, 100.0], variance=[3000.0, 3100.0, 3200.0], name="scaled")
    return keras.Model(inputs, _classes(_conv(4, "conv")(layer(inputs))))


@shape(own_weights=True)
def adapted_normalization() -> keras.Model:
    layer = L.Normalization(name="scaled")
    layer.adapt(np.random.default_rng(0).uniform(0, 255, (8, SIZE, SIZE, 3)).astype(np.float32))
    return keras.Sequential([_photo(), layer, _conv(4, "conv"), L.GlobalMaxPooling2D(), L.Dense(3, "softmax")])


@shape()
def augmenting() -> keras.Model:
    """Layers that do nothing once it is trained."""
    inputs = _photo()
    x = inputs
    for layer in (L.RandomFlip("horizontal"), L.RandomRotation(0.1), L.RandomZoom(0.1), L.RandomContrast(0.1)):
        x = layer(x)
    x = L.GaussianNoise(0.5)(_conv(4, "conv")(L.Rescaling(1 / 255)(x)))
    return keras.Model(inputs, _classes(L.Dropout(0.5)(L.SpatialDropout2D(0.2)(x))))


@shape()
def other_normalisations() -> keras.Model:
    inputs = _photo()
    x = L.GroupNormalization(2, name="groups")(_conv(4, "conv1")(inputs))
    x = L.LayerNormalization(name="layer")(_conv(4, "conv2")(x))
    return keras.Model(inputs, _classes(L.UnitNormalization(name="unit")(x)))


@shape()
def many_activations() -> keras.Model:
    inputs = _photo()
    x = L.PReLU(shared_axes=[1, 2], name="prelu")(L.Conv2D(4, 3, name="conv1")(inputs))
    for name in ("gelu", "silu", "elu", "selu", "tanh", "hard_sigmoid", "softplus", "mish"):
        x = L.Activation(name, name=name)(x)
    return keras.Model(inputs, _classes(L.ELU(name="own_elu")(L.LeakyReLU(0.2, name="leaky")(x))))


@shape()
def arithmetic_in_the_graph() -> keras.Model:
    """Operations of keras.ops and Python's signs between the layers."""
    inputs = _photo()
    x = _conv(4, "conv1")((inputs - 127.5) / 127.5)
    x = x * ops.sigmoid(ops.mean(x, axis=(1, 2), keepdims=True)) + 0.5
    y = ops.concatenate([ops.relu(x[..., :2]), ops.square(x[..., 2:])], axis=-1)
    return keras.Model(inputs, _classes(_conv(4, "conv2")(ops.sqrt(ops.absolute(y) + 1e-3) - ops.maximum(x, 0.2))))


@shape()
def squeeze_and_excite() -> keras.Model:
    inputs = _photo()
    x = _conv(4, "conv")(inputs)
    gate = L.Reshape((1, 1, 4), name="gate")(L.GlobalAveragePooling2D(name="squeeze")(x))
    gate = L.Conv2D(4, 1, activation="sigmoid", name="excite")(gate)
    return keras.Model(inputs, _classes(L.Multiply(name="gated")([x, gate])))


@shape()
def attention() -> keras.Model:
    """Self-attention over the places of a map."""
    inputs = _photo()
    x = _conv(6, "patches", strides=4)(L.Rescaling(1 / 255, name="scaled")(inputs))
    steps = L.Reshape((16, 6), name="steps")(x)
    steps = L.Add(name="added")([steps, L.MultiHeadAttention(2, 3, name="attention")(steps, steps)])
    x = L.GlobalAveragePooling1D(name="pool")(L.LayerNormalization(name="norm")(steps))
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(x))


@shape()
def vision_transformer() -> keras.Model:
    """Patches, two blocks of attention, and the first step read as the answer."""
    inputs = _photo()
    x = L.Conv2D(8, 4, strides=4, name="patches")(L.Rescaling(1 / 127.5, -1.0, name="scaled")(inputs))
    x = L.Reshape((16, 8), name="steps")(x)
    first = L.Reshape((1, 8), name="class_token")(L.Dense(8, name="token")(L.GlobalAveragePooling1D(name="all")(x)))
    x = L.Concatenate(axis=1, name="with_token")([first, x])
    for number in (1, 2):
        normed = L.LayerNormalization(name=f"norm{number}a")(x)
        x = x + L.MultiHeadAttention(2, 4, name=f"attention{number}")(normed, normed)
        y = L.Dense(12, "gelu", name=f"wide{number}")(L.LayerNormalization(name=f"norm{number}b")(x))
        x = x + L.Dense(8, name=f"back{number}")(y)
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(x[:, 0]))


@shape()
def time_distributed() -> keras.Model:
    """The rows of a map, one after the other, through the same dense layer and a recurrent one."""
    inputs = _photo()
    rows = L.TimeDistributed(L.Dense(5, "relu"), name="each_row")(
        L.Reshape((8, 32), name="rows")(_conv(4, "conv", strides=2)(inputs))
    )
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(L.LSTM(6, name="lstm")(rows)))


@shape(32, own_weights=True)
def nested_mobilenet() -> keras.Model:
    """One of Keras Applications, nested, under another name."""
    base = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None, name="my_backbone"
    )
    inputs = _photo(32)
    x = base(L.Rescaling(1 / 127.5, -1.0)(inputs), training=False)
    return keras.Model(inputs, _classes(x))


# What is not a photo


@shape((12, 8), given=_rows)
def convolutions_along_time() -> keras.Model:
    """Steps × features."""
    inputs = keras.Input((12, 8))
    x = L.Conv1D(6, 3, padding="same", activation="relu", name="conv1")(inputs)
    x = L.Conv1D(4, 3, strides=2, activation="relu", name="conv2")(L.MaxPooling1D(name="down")(x))
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(L.GlobalMaxPooling1D(name="pool")(x)))


@shape((12, 8), given=_rows)
def recurrent() -> keras.Model:
    inputs = keras.Input((12, 8))
    x = L.LSTM(5, return_sequences=True, name="lstm")(inputs)
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(L.GRU(4, name="gru")(x)))


@shape((12, 8), given=_rows)
def bidirectional() -> keras.Model:
    inputs = keras.Input((12, 8))
    x = L.Bidirectional(L.LSTM(4, return_sequences=True), name="both_ways")(inputs)
    x = L.SimpleRNN(4, name="rnn")(x)
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(x))


def _film(frames: int, of: Given) -> Given:
    """The photo in every frame, each a pixel further to the left."""
    return lambda photos: np.stack([np.roll(of(photos), -frame, axis=2) for frame in range(frames)], axis=1)


@shape((8, 8), given=_film(4, grey))
def volume() -> keras.Model:
    inputs = keras.Input((4, 8, 8, 1))
    x = L.Conv3D(3, 3, padding="same", activation="relu", name="conv")(inputs)
    x = L.GlobalAveragePooling3D(name="pool")(L.MaxPooling3D(2, name="down")(x))
    return keras.Model(inputs, L.Dense(3, "softmax", name="classes")(x))


@shape((8, 8), given=_film(3, unchanged))
def film() -> keras.Model:
    inputs = keras.Input((3, 8, 8, 3))
    x = L.ConvLSTM2D(4, 3, padding="same", name="conv_lstm")(inputs)
    return keras.Model(inputs, _classes(x))


# What it answers


@shape(classes=False)
def regression() -> keras.Model:
    inputs = _photo()
    return keras.Model(inputs, _classes(_conv(4, "conv")(inputs), 1, None))


@shape()
def yes_or_no() -> keras.Model:
    inputs = _photo()
    return keras.Model(inputs, _classes(_conv(4, "conv")(inputs), 1, "sigmoid"))


@shape()
def many_labels() -> keras.Model:
    inputs = _photo()
    return keras.Model(inputs, _classes(_conv(4, "conv")(inputs), 4, "sigmoid"))


@shape()
def logits() -> keras.Model:
    inputs = _photo()
    return keras.Model(inputs, _classes(_conv(4, "conv")(inputs), 3, None))


@shape()
def softmax_layer() -> keras.Model:
    inputs = _photo()
    return keras.Model(inputs, L.Softmax(name="softmax")(_classes(_conv(4, "conv")(inputs), 3, None)))


@shape()
def fully_convolutional() -> keras.Model:
    inputs = _photo(SIZE)
    x = L.Conv2D(3, 1, name="class_maps")(_conv(4, "conv")(inputs))
    return keras.Model(inputs, L.Activation("softmax", name="softmax")(L.GlobalAveragePooling2D(name="pool")(x)))


# Numbers of other kinds


@shape(own_weights=True, finite=False)
def not_numbers() -> keras.Model:
    inputs = _photo()
    model = with_seeded_weights(keras.Model(inputs, _classes(_conv(4, "conv2")(_conv(4, "conv1")(inputs)))))
    layer = model.get_layer("conv2")
    kernel, bias = layer.get_weights()
    kernel[0, 0, 0, 0] = np.nan
    layer.set_weights([kernel, bias])
    return model


@shape(close=1e-3)
def half_precision() -> keras.Model:
    policy = "mixed_float16"
    inputs = _photo()
    x = L.Conv2D(4, 3, activation="relu", dtype=policy, name="conv")(L.Rescaling(1 / 255, dtype=policy)(inputs))
    x = L.GlobalAveragePooling2D(dtype=policy, name="pool")(x)
    return keras.Model(inputs, L.Dense(3, "softmax", dtype="float32", name="classes")(x))


@shape(given=lambda photos: photos.astype(np.uint8))
def bytes_in() -> keras.Model:
    """Takes uint8."""
    inputs = _photo(dtype="uint8")
    x = L.Rescaling(1 / 255, name="scaled")(inputs)
    return keras.Model(inputs, _classes(_conv(4, "conv")(x)))
