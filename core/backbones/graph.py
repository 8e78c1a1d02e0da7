"""One flat graph for any functional or sequential model, however deeply nested, and models cut out of it.

`model.get_layer("backbone").output` of a nested model belongs to the nested model's own graph, so that nothing can be
cut out across the border. Here each layer is called once more on one fresh input, in inference mode; the weights are
shared with the given model.
"""

from __future__ import annotations

import inspect
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from core.backbones.backbone import Backbone
from core.errors import UserError
from core.messages import LayerInfo

PREFIX = "entrance_"  # of the names of what is put in front of a network, and between its layers, to fit it in

_CUTS_PER_MODEL = 32

# Keras appends to the nodes of shared layers whenever a graph is built: one at a time.
_building = threading.RLock()
_cuts: weakref.WeakKeyDictionary[keras.Model, OrderedDict[Any, keras.Model]] = weakref.WeakKeyDictionary()


class Renamed(keras.layers.Layer):
    """Calls `operation` under another name: Keras wants each name once in a graph, nested models may repeat them."""

    def __init__(self, operation: Any, name: str):
        super().__init__(name=name, dtype=getattr(operation, "dtype_policy", None))
        self.operation = operation
        self.supports_masking = True  # as far as the operation does, which passes its mask on itself
        self._takes_training = _takes_training(operation)
        self.built = True  # it has nothing of its own, and what it calls is built

    def call(self, *arguments: Any, **named: Any) -> Any:
        if self._takes_training:
            named["training"] = False
        return self.operation(*arguments, **named)

    def compute_output_spec(self, *arguments: Any, **named: Any) -> Any:
        return self.operation.compute_output_spec(*arguments, **named)

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        if getattr(self.operation, "supports_masking", False):
            return self.operation.compute_mask(inputs, previous_mask)
        return None


Entrance = Callable[[Any], tuple[Any, list[Any]]]


def flatten(
    model: keras.Model,
    *,
    rename: bool = False,
    entrance: Entrance | None = None,
    stand_in: Callable[[Any], Any] | None = None,
    layout: Any = None,
) -> tuple[keras.Model, dict[str, Any]]:
    """`model` as one functional graph without nested models, and every layer's symbolic output by name.

    Layers of a nested model are called "xception/block3_sepconv1"; a layer's second call gets ":2". Called as it is,
    the flat model computes what `model` does in inference mode; the weights are shared. Of layers with several outputs
    the first is in the dictionary, of operations only those with one; it is in the order of computation. Where two
    layers have the same name one of them gets a stand-in; with `rename` it is renamed itself, which only the owner of
    `model` may ask for.

    `entrance` makes, for the functional model, another input and from it the symbolic tensors for each of the model's
    own. `stand_in` says what is called in an operation's place: most often itself; `None` passes on what the operation
    is given. `layout` (`channels_last.ChannelsLast`) has layers computed in another order of axes. Raises `UserError`
    where the model is neither functional nor sequential, or has several inputs and no `entrance`.
    """
    functional = functional_of(model)
    if functional is None:
        raise UserError(
            f"The model {model.name!r} is neither functional nor sequential, so its layers cannot be looked into."
        )
    with _building:
        inputs, arguments = (entrance or _as_it_is)(functional)
        if layout is not None:
            layout.begin(arguments)
        taken = _names_before(arguments)
        walk = _Walk(taken, rename=rename, stand_in=stand_in or _itself, layout=layout)
        outputs = walk.run(functional, arguments, "")
        return keras.Model(inputs, outputs, name=model.name), walk.tensors


def _names_before(tensors: list[Any]) -> set[str]:
    """The names of all operations that the symbolic `tensors` are made by."""
    names, waiting, seen = set(), list(tensors), set()
    while waiting:
        tensor = waiting.pop()
        if id(tensor) not in seen:
            seen.add(id(tensor))
            names.add(tensor._keras_history.operation.name)
            waiting += node_of(tensor).input_tensors
    return names


def _as_it_is(functional: Any) -> tuple[Any, list[Any]]:
    """The same input anew, for a model that has one."""
    if len(functional.inputs) != 1:
        raise UserError(
            f"The model {functional.name!r} has {len(functional.inputs)} inputs; only models with one can be used."
        )
    source = functional.inputs[0]
    inputs = keras.Input(batch_shape=source.shape, dtype=source.dtype, name=source._keras_history.operation.name)
    return inputs, [inputs]


def is_ours(name: str) -> bool:
    """Whether the operation `name` is none of the network's own but was put in to make it fit, perhaps before the
    Trainer saved it."""
    return name.startswith(PREFIX)


def passes_on(name: str) -> bool:
    """Whether the operation `name` is one of ours that turns or casts what comes, whatever it means."""
    return name.startswith((f"{PREFIX}turned", f"{PREFIX}cast"))


def building() -> Any:
    """The lock to hold while layers are called on symbolic tensors."""
    return _building


def functional_of(operation: Any) -> Any | None:
    """The graph behind a functional or built sequential model, else `None`."""
    if isinstance(operation, keras.Sequential):
        return getattr(operation, "_functional", None)
    return operation if hasattr(operation, "_run_through_graph") and hasattr(operation, "inputs") else None


def _itself(operation: Any) -> Any:
    # Keras before 3.15 has no default for `operation_fn`.
    return operation


def _takes_training(operation: Any) -> bool:
    return isinstance(operation, keras.layers.Layer) and "training" in inspect.signature(operation.call).parameters


class _Walk:
    """One pass through a model that calls every layer on the new graph and notes what came out."""

    def __init__(self, taken: set[str], *, rename: bool, stand_in: Callable[[Any], Any], layout: Any):
        self.tensors: dict[str, Any] = {}
        self._rename = rename
        self._stand_in = stand_in
        self._layout = layout
        self._casts = 0
        self._calls: dict[str, int] = {}
        self._owner: dict[str, Any] = dict.fromkeys(taken)  # name in the flat graph -> operation
        self._stand_ins: dict[int, Renamed] = {}

    def run(self, functional: Any, inputs: Any, prefix: str) -> Any:
        def call(operation: Any, *arguments: Any, **named: Any) -> Any:
            return self._call(operation, f"{prefix}{operation.name}", arguments, named)

        flat = [
            self._cast(given, wanted.dtype)
            for given, wanted in zip(keras.tree.flatten(inputs), functional.inputs, strict=True)
        ]
        return functional._run_through_graph(flat, operation_fn=_itself, call_fn=call)

    def _cast(self, given: Any, dtype: str) -> Any:
        """`given` in the precision that a model takes. Where it takes whole numbers, pixels keep their gradient."""
        is_float = "float" in keras.backend.standardize_dtype(given.dtype)
        if dtype in (given.dtype, "string") or (is_float and "float" not in dtype):
            return given
        cast = keras.ops.cast(given, dtype)
        self._casts += 1
        cast._keras_history.operation.name = f"{PREFIX}cast_{self._casts}"
        if self._layout is not None:
            self._layout.same(given, cast)
        return cast

    def _call(self, operation: Any, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        operation = self._stand_in(operation)
        if operation is None:
            return arguments[0]
        nested = functional_of(operation)
        self._calls[name] = count = self._calls.get(name, 0) + 1
        shown = name if count == 1 else f"{name}:{count}"
        if nested is not None:
            return self.run(nested, arguments, f"{shown}/")

        def call(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
            return infer(self._unique(operation, name), arguments, named)

        if self._layout is None:
            outputs = call(operation, arguments, named)
        else:
            outputs = self._layout.call(operation, arguments, named, call)
        main = outputs
        if isinstance(outputs, (list, tuple)) and isinstance(operation, keras.layers.Layer):
            main = outputs[0]  # a recurrent layer's states, an attention's weights come after what it is there for
        if keras.backend.is_keras_tensor(main) and main.dtype != "bool" and not is_ours(operation.name):
            self.tensors[shown] = main
        return outputs

    def _unique(self, operation: Any, name: str) -> Any:
        """`operation`, or a stand-in where another one has its name already."""
        if self._owner.setdefault(operation.name, operation) is operation:
            return operation
        if id(operation) not in self._stand_ins:
            alias = name.replace("/", "__")
            while alias in self._owner:
                alias += "_"
            if self._rename:
                operation.name = alias
                self._owner[alias] = operation
                return operation
            self._stand_ins[id(operation)] = self._owner[alias] = Renamed(operation, alias)
        return self._stand_ins[id(operation)]


def without_memory() -> Callable[[Any], Any]:
    """A `stand_in` for `flatten`: recurrent layers that go on from photo to photo begin anew with each."""
    twins: dict[int, tuple[Any, Any]] = {}

    def stand_in(operation: Any) -> Any:
        if not getattr(operation, "stateful", False) or not isinstance(operation, keras.layers.Layer):
            return operation
        if id(operation) not in twins:
            twin = type(operation).from_config({**operation.get_config(), "stateful": False})
            twin.build(operation._build_shapes_dict["sequences_shape"])
            twins[id(operation)] = (operation, twin)
            copy_weights(operation, twin)
        return twins[id(operation)][1]

    return stand_in


def copy_weights(layer: Any, twin: Any) -> None:
    """Give `twin` the numbers of `layer`, an operation of the same kind, if it has any."""
    for theirs, own in zip(getattr(layer, "weights", ()), getattr(twin, "weights", ()), strict=True):
        if theirs._value is not None:  # in a model that was only built to be counted there are no numbers
            own.assign(theirs)


def infer(operation: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """`operation(*arguments, **named)` in inference mode; `named` is changed."""
    named.pop("training", None)
    if _takes_training(operation):
        named["training"] = False
    # Outside of all scopes TensorFlow takes no name such as "_conv_stem", within one it does.
    with keras.name_scope("layers"):
        return operation(*arguments, **named)


def rerun(model: keras.Model, inputs: Any, check: Callable[[Any, Any], None] = lambda *_: None) -> Any:
    """The outputs of the flat graph `model` on another symbolic input, with the same weights, in inference mode.

    `check(operation, arguments)` may raise `ValueError` where an operation cannot be given that.
    """

    def call(operation: Any, *arguments: Any, **named: Any) -> Any:
        check(operation, arguments)
        return infer(operation, arguments, named)

    with _building:
        return model._run_through_graph([inputs], operation_fn=_itself, call_fn=call)


def run_watching(model: keras.Model, inputs: Any, watch: Callable[[Any, Any], None]) -> Any:
    """The outputs of the flat `model` for `inputs` (numbers). `watch(operation, outputs)` is told what each operation
    gives, before the next one takes it: a gradient tape can watch it then."""

    def call(operation: Any, *arguments: Any, **named: Any) -> Any:
        outputs = infer(operation, arguments, named)
        watch(operation.operation if isinstance(operation, Renamed) else operation, outputs)
        return outputs

    return model._run_through_graph([inputs], operation_fn=_itself, call_fn=call)


def continued(tensor: Any, output: Any, value: Any) -> Any:
    """`output`, computed from the symbolic `value` in the place of `tensor`, which is before it in the same graph."""
    with _building:
        try:
            rest = keras.Model(tensor, output)
        except ValueError as error:
            name = tensor._keras_history.operation.name
            raise UserError(
                f"The layer {name!r} does not lead to the network's prediction: it belongs to another of its outputs."
            ) from error
        return rerun(rest, value)


def node_of(tensor: Any) -> Any:
    """The call that the symbolic `tensor` came out of."""
    history = tensor._keras_history
    return history.operation._inbound_nodes[history.node_index]


def in_order(model: keras.Model) -> Iterator[Any]:
    """Every call in the flat graph `model`; each comes after those that it takes its inputs from."""
    for level in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[level] if not node.is_input)


def operation_of(tensor: Any) -> Any:
    """The layer (or other operation) that computes `tensor`."""
    operation = tensor._keras_history.operation
    return operation.operation if isinstance(operation, Renamed) else operation


def list_layers(model: keras.Model, tensors: dict[str, Any]) -> tuple[LayerInfo, ...]:
    """What there is to look at in the flat `model`, in the order of computation: maps and vectors."""
    return tuple(
        LayerInfo(
            name=name,
            type=type(operation_of(tensor)).__name__,
            output_shape=tuple(tensor.shape[1:]),
            parameters=_parameters(operation_of(tensor)),
        )
        for name, tensor in tensors.items()
        if len(tensor.shape) >= 2 and tensor.shape[-1] is not None
    )


def _parameters(operation: Any) -> int:
    return int(operation.count_params()) if isinstance(operation, keras.layers.Layer) else 0


def truncated(backbone: Backbone, layers: Sequence[str]) -> keras.Model:
    """A model of the same input with one output for each of `layers`: a list, in their order. It computes no more.

    Shared and cached: do not modify. Raises `UserError` for a layer that is not there.
    """
    outputs = [backbone.tensor(name) for name in layers]
    return _cut(backbone, ("truncated", *layers), lambda: keras.Model(backbone.model.inputs[0], outputs))


def check_shapes(operation: Any, arguments: Any) -> None:
    """Raises `ValueError` for what some layers only find out when they compute: that steps have another shape than a
    recurrent layer learned, or that maps which are to lie side by side are not of the same size."""
    layer = getattr(operation, "operation", operation)
    if isinstance(layer, keras.layers.Concatenate):
        axis = layer.axis % len(arguments[0][0].shape)
        rest = {(*each.shape[:axis], *each.shape[axis + 1 :]) for each in arguments[0]}
        if len(rest) > 1:
            raise ValueError(f"{layer.name} cannot put these side by side: {rest}.")
    if isinstance(layer, (keras.layers.RNN, keras.layers.Bidirectional)):
        learned, given = layer._build_shapes_dict["sequences_shape"][2:], arguments[0].shape[2:]
        if tuple(learned) != tuple(given):
            raise ValueError(f"{layer.name} takes steps of {learned}, not of {given}.")


def at_size(backbone: Backbone, layers: str | Sequence[str], size: int | tuple[int, int]) -> keras.Model:
    """`[B, h, w, 3]` -> the output of a layer, or a list of several; same weights, whatever the model's own size.

    `size` is (height, width), or one number for a square. Shared and cached: do not modify. Raises `UserError` where a
    layer lies behind one whose size is fixed (a dense layer after flattening, for instance) and `size` is not the
    model's own, and where the images are too small for a layer.
    """
    names = (layers,) if isinstance(layers, str) else tuple(layers)
    tensors = [backbone.tensor(name) for name in names]
    outputs = tensors[0] if isinstance(layers, str) else tensors
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise UserError(f"An image cannot be {min(height, width)} pixels wide.")

    def cut() -> keras.Model:
        source = backbone.model.inputs[0]
        if tuple(source.shape[1:3]) == (height, width):
            return keras.Model(source, outputs)
        inputs = keras.Input((height, width, source.shape[-1]), dtype=source.dtype, name=f"image_{height}_{width}")
        try:
            return keras.Model(inputs, rerun(keras.Model(source, outputs), inputs, check=check_shapes))
        # What a layer raises on a size that does not suit it is its own affair.
        except (ValueError, TypeError, ArithmeticError, IndexError) as error:
            own_height, own_width = backbone.input_size
            raise UserError(
                f"Layer {names[-1]!r} of {backbone.title} cannot be computed at {height}×{width} pixels; "
                f"at the model's own size, {own_height}×{own_width}, it can."
            ) from error

    return _cut(backbone, ("at_size", layers if isinstance(layers, str) else names, height, width), cut)


def _cut(backbone: Backbone, key: tuple[Any, ...], build: Callable[[], keras.Model]) -> keras.Model:
    """`build()`, kept as long as the backbone lives, or until others have been used more recently."""
    with _building:
        cuts = _cuts.setdefault(backbone.model, OrderedDict())
        if key not in cuts:
            cuts[key] = build()
        cuts.move_to_end(key)
        while len(cuts) > _CUTS_PER_MODEL:
            cuts.popitem(last=False)
        return cuts[key]


def depth(backbone: Backbone, layer: str) -> int:
    """How many nonlinear layers lie one behind the other between the image and the output of `layer`, itself included.

    The harder a layer is to climb, the more there are. Raises `UserError` for a layer that is not there.
    """
    model = truncated(backbone, (layer,))
    depths: dict[int, int] = {}
    for node in in_order(model):
        below = max((depths.get(id(tensor), 0) for tensor in node.input_tensors), default=0)
        for tensor in node.outputs:
            depths[id(tensor)] = below + _is_nonlinear(operation_of(tensor))
    return depths[id(model.outputs[0])]


def _is_nonlinear(operation: Any) -> bool:
    function = getattr(operation, "activation", None)
    if function is not None:
        return getattr(function, "__name__", "") != "linear"
    kind = type(operation)
    rectifiers = (keras.layers.ReLU, keras.layers.LeakyReLU, keras.layers.ELU, keras.layers.PReLU, keras.layers.Softmax)
    return isinstance(operation, rectifiers) or kind.__module__ == "keras.src.ops.nn"


def last_maps(model: keras.Model) -> Any:
    """The last symbolic maps `[B, h, w, C]` before the classifier of the flat `model`: what global pooling receives.

    Found by walking back from the output; where vectors are joined, along all of them. Raises `UserError` where there
    are none, or several.
    """
    found: dict[int, Any] = {}
    waiting, seen = [model.outputs[0]], set()
    while waiting:
        tensor = waiting.pop()
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        operation, parents = operation_of(tensor), node_of(tensor).input_tensors
        if not is_ours(operation.name) and len(tensor.shape) == 4 and tensor.shape[1] != 1 and tensor.shape[2] != 1:
            found[id(tensor)] = tensor
        elif len(parents) == 1 or len(tensor.shape) == 2:
            waiting += parents
    if len(found) > 1:  # another input's, or the photo itself
        found = {key: tensor for key, tensor in found.items() if _has_weights(model, tensor)}
    if len(found) != 1:
        raise UserError(f"The model {model.name!r} has no feature maps to build a classifier on.")
    return next(iter(found.values()))


def last_features(model: keras.Model) -> Any:
    """What the classifier of the flat `model` is given, symbolic: its last maps `[B, h, w, C]` or, where nothing with
    weights comes before those, what the last layer with weights takes, `[B, n]`."""
    try:
        maps = last_maps(model)
        if _has_weights(model, maps):
            return maps
    except UserError:
        pass
    output = model.outputs[0]
    for node in reversed(list(in_order(model))):
        operation = operation_of(node.outputs[0])
        if isinstance(operation, keras.layers.Layer) and operation.weights:
            return node.input_tensors[0]
    return output


def _has_weights(model: keras.Model, tensor: Any) -> bool:
    """Whether anything that can be learned lies between the input and `tensor`."""
    return bool(tensor is not model.inputs[0] and keras.Model(model.inputs[0], tensor).weights)
