"""A network that reads text, as the tasks need it: its answers to the numbers of tokens, and its scores' slopes.

Which class or unit is asked for is a tensor, so that nothing is traced again for another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from core import activations
from core.attribution.network import logits_of, reader
from core.backbones import graph, loading, steps
from core.backbones.backbone import Backbone
from core.backbones.batches import BATCH_BYTES
from core.backbones.compiled import CompiledPerModel
from core.backbones.text_models import TokenVectors
from core.backbones.tokens import Tokeniser
from core.errors import UserError
from core.messages import ModelRef

_MOST_TEXTS = 256  # in a batch
_OF_WORDS = (keras.layers.Embedding, TokenVectors, keras.layers.CategoryEncoding)

_compiled = CompiledPerModel(most=16)


def load(ref: ModelRef) -> Backbone:
    """The network, which must be one that reads text. Raises `UserError` where it is none."""
    backbone = loading.load(ref)
    if backbone.reads != "text":
        raise UserError(f"{backbone.title} reads photos, not text: choose a photo for it.")
    return backbone


def run(backbone: Backbone, numbers: np.ndarray, layers: Sequence[str] = ()) -> list[np.ndarray]:
    """The network's output for `numbers`, `int32[B, T]`, and then that of each of `layers`: `float32[B, ...]`."""
    tensors = [backbone.tensor(layer) for layer in layers]

    def build() -> Any:
        model = keras.Model(backbone.model.inputs[0], [*backbone.model.outputs, *tensors])

        def forward(texts: tf.Tensor) -> list[tf.Tensor]:
            return [tf.cast(output, tf.float32) for output in keras.tree.flatten(model(texts, training=False))]

        return tf.function(forward, [_texts(backbone)], autograph=False)

    forward = _compiled.get(backbone.model, ("run", *layers), build)
    try:
        output, *others = forward(tf.constant(numbers, tf.int32))
    # A vocabulary that is larger than its embedding, for instance; what the network does with it is its own affair.
    except tf.errors.InvalidArgumentError as error:
        raise UserError(f"{backbone.title} cannot compute with this text: its layers do not fit its words.") from error
    return [output.numpy(), *(each.numpy() for each in others[len(backbone.model.outputs) - 1 :])]


def probabilities(backbone: Backbone, output: np.ndarray) -> np.ndarray:
    """`float32[B, classes]` of the network's `output`, read as `activations.class_probabilities` does."""
    if activations.class_activation(backbone) == "linear":
        return activations.probabilities_of(backbone, output)
    return np.concatenate([1.0 - output, output], axis=-1) if output.shape[-1] == 1 else output


def spans(backbone: Backbone, layers: Sequence[str], length: int) -> dict[str, tuple[tuple[int, int], ...] | None]:
    """What the steps of those of `layers` that have any stand on, in a text of `length` tokens (`steps.spans`)."""
    tensors = {layer: backbone.tensor(layer) for layer in layers}
    if not any(len(tensor.shape) == 3 for tensor in tensors.values()):
        return {}
    return steps.spans(keras.Model(backbone.model.inputs[0], list(tensors.values())), tensors, length)


@dataclass(frozen=True)
class Scores:
    """Numbers that a text is judged by: the logits of all classes or, for a `layer`, each unit's greatest value over
    its steps. Texts are `int32[B, T]`."""

    backbone: Backbone
    layer: str | None = None

    @property
    def tokeniser(self) -> Tokeniser:
        return self.backbone.tokeniser

    def values(self, texts: np.ndarray, counted: np.ndarray) -> np.ndarray:
        """`float32[B, K]`. `counted`, `bool[S]`, says which steps count; all, for a layer without steps."""
        run = _compiled.get(self.backbone.model, ("values", self.layer), self._compile_values)
        return run(tf.constant(texts, tf.int32), _penalty(counted)).numpy()

    def slopes(self, text: np.ndarray, counted: np.ndarray, index: int) -> np.ndarray:
        """For one text `int32[1, T]`: gradient × embedding of number `index`, summed over its units: `float32[T]`.

        Where the network counts words, each of the same ones gets its share of the count's gradient × count.
        """
        run = _compiled.get(self.backbone.model, ("slopes", self.layer), self._compile_slopes)
        by_step, by_word = run(tf.constant(text, tf.int32), _penalty(counted), tf.constant(index))
        found = by_step.numpy()[0]
        numbers, values = text[0], by_word.numpy()[0]
        if len(values):
            _, place, counts = np.unique(numbers, return_inverse=True, return_counts=True)
            found = found + np.where(numbers >= 0, values[np.maximum(numbers, 0)] / counts[place], 0.0)
        return found.astype(np.float32)

    def counted(self, length: int, tokens: Sequence[bool]) -> np.ndarray:
        """`bool[S]`: which steps of the layer stand on any of the `tokens` that are true; all where nobody knows."""
        found = spans(self.backbone, [self.layer] if self.layer else [], length).get(self.layer)
        if found is None:
            return np.ones(0, bool)
        counted = np.array([any(tokens[first:last]) for first, last in found], bool)
        return counted if counted.any() else np.ones(len(found), bool)

    def batches(self, count: int, length: int) -> Iterator[slice]:
        rows = max(1, min(_MOST_TEXTS, BATCH_BYTES // self._bytes_per_text(length)))
        return (slice(first, first + rows) for first in range(0, count, rows))

    def _bytes_per_text(self, length: int) -> int:
        shapes = [layer.output_shape for layer in self.backbone.layers]
        return 4 * max([length, *(math.prod(size or length for size in shape) for shape in shapes)])

    def _outputs(self) -> Any:
        return logits_of(self.backbone.model) if self.layer is None else self.backbone.tensor(self.layer)

    def _compile_values(self) -> Any:
        model, read = keras.Model(self.backbone.model.inputs[0], self._outputs()), self._reader()

        def values(texts: tf.Tensor, penalty: tf.Tensor) -> tf.Tensor:
            return read(model(texts, training=False), penalty)

        return tf.function(values, [_texts(self.backbone), tf.TensorSpec([None], tf.float32)], autograph=False)

    def _compile_slopes(self) -> Any:
        model, read = keras.Model(self.backbone.model.inputs[0], self._outputs()), self._reader()
        looking_up = _looking_up(model)

        def slopes(text: tf.Tensor, penalty: tf.Tensor, index: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                watched: list[tf.Tensor] = []

                def watch(operation: Any, outputs: Any) -> None:
                    if id(operation) in looking_up:
                        tape.watch(outputs)
                        watched.append(outputs)

                score = tf.gather(read(graph.run_watching(model, text, watch), penalty), index, axis=1)
            found = tape.gradient(score, watched, unconnected_gradients=tf.UnconnectedGradients.ZERO)
            pairs = [tf.cast(a, tf.float32) * tf.cast(b, tf.float32) for a, b in zip(found, watched, strict=True)]
            by_step = [tf.reduce_sum(pair, axis=-1) for pair in pairs if len(pair.shape) == 3]
            by_word = [pair for pair in pairs if len(pair.shape) == 2]
            nothing = tf.zeros_like(text, tf.float32)
            return tf.add_n([nothing, *by_step]), tf.add_n(by_word) if by_word else nothing[:, :0]

        given = [_texts(self.backbone, 1), tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)]
        return tf.function(slopes, given, autograph=False)

    def _reader(self) -> Callable[[Any, Any], Any]:
        """From the outputs and the steps' penalties to `float32[B, K]`. It must not refer to the model: see
        `CompiledPerModel`."""
        if self.layer is not None:
            return _greatest
        output = self.backbone.model.outputs[0]
        read = reader(activations.class_activation(self.backbone) == "sigmoid" and output.shape[-1] == 1)
        return lambda outputs, penalty: read(outputs)


def _greatest(outputs: Any, penalty: Any) -> Any:
    """Each unit's greatest value over all of the layer's other axes, those steps left out that have a penalty."""
    values = tf.cast(outputs, tf.float32)
    if len(outputs.shape) == 3:
        size = tf.shape(values)[1]
        values += tf.pad(penalty, [[0, tf.maximum(size - tf.shape(penalty)[0], 0)]])[None, :size, None]
    others = list(range(1, len(outputs.shape) - 1))
    return tf.reduce_max(values, axis=others) if others else values


def _looking_up(model: keras.Model) -> set[int]:
    """The `id`s of the operations that look the numbers of tokens up."""
    numbers, found = {id(model.inputs[0])}, set()
    for node in graph.in_order(model):
        if not node.input_tensors or id(node.input_tensors[0]) not in numbers:
            continue
        operation = graph.operation_of(node.outputs[0])
        if isinstance(operation, _OF_WORDS):
            found.add(id(operation))
        elif type(operation).__name__ in ("Cast", "Identity"):
            numbers.update(id(output) for output in node.outputs)
    return found


def _texts(backbone: Backbone, count: int | None = None) -> tf.TensorSpec:
    return tf.TensorSpec([count, *backbone.model.inputs[0].shape[1:]], tf.int32)


def _penalty(counted: np.ndarray) -> tf.Tensor:
    return tf.constant(np.where(counted, 0.0, -np.inf), tf.float32)
