"""Configurations written by Keras 2, in the words of Keras 3.

Keras 3.15 reads most of them itself. It does not find the tensors of nested models and of arithmetic on tensors
(`TFOpLambda`), and stumbles over settings that have gone. So the connections are written as Keras 3 writes them, and
what is arithmetic becomes an operation of `keras.ops`. Nothing is built here, and what comes out is checked like any
other configuration.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

MODELS = {"Functional", "Model", "Sequential"}
_SYNONYMS = {
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "GroupedQueryAttention": "GroupQueryAttention",
}
# Settings that Keras 3 does not know, and with which values they mean nothing.
_FORGOTTEN: dict[str, Callable[[Any], bool]] = {
    "fused": lambda _: True,
    "groups": lambda value: value == 1,
    "implementation": lambda _: True,
    "input_dtype": lambda _: True,
    "input_length": lambda _: True,
    "rng_type": lambda _: True,
    "renorm": lambda value: not value,
    "time_major": lambda value: not value,
    "virtual_batch_size": lambda value: value is None,
}
_WITHOUT_KERNEL = {"DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"}
_KERNEL_SETTINGS = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
_GROUPED = {"Conv1D", "Conv2D", "Conv3D", "Convolution1D", "Convolution2D", "Convolution3D", "GroupNormalization"}

_NUMPY, _NN = "keras.src.ops.numpy", "keras.src.ops.nn"
_CONSTANT = "_CONSTANT_VALUE"
_BINARY = {
    "__operators__.add": "Add",
    "math.add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "math.divide": "TrueDivide",
    "math.pow": "Power",
    "math.maximum": "Maximum",
    "math.minimum": "Minimum",
    "linalg.matmul": "Matmul",
}
_UNARY = {
    "math.abs": (_NUMPY, "Absolute"),
    "math.exp": (_NUMPY, "Exp"),
    "math.log": (_NUMPY, "Log"),
    "math.negative": (_NUMPY, "Negative"),
    "math.sqrt": (_NUMPY, "Sqrt"),
    "math.square": (_NUMPY, "Square"),
    "math.tanh": (_NUMPY, "Tanh"),
    "nn.tanh": (_NUMPY, "Tanh"),
    "math.sigmoid": (_NN, "Sigmoid"),
    "nn.sigmoid": (_NN, "Sigmoid"),
    "math.softplus": (_NN, "Softplus"),
    "nn.elu": (_NN, "Elu"),
    "nn.relu": (_NN, "Relu"),
    "nn.relu6": (_NN, "Relu6"),
    "nn.selu": (_NN, "Selu"),
    "nn.silu": (_NN, "Silu"),
    "nn.swish": (_NN, "Silu"),
    "nn.softmax": (_NN, "Softmax"),
    "nn.softplus": (_NN, "Softplus"),
}
_REDUCTIONS = {
    "math.reduce_max": "Max",
    "math.reduce_mean": "Mean",
    "math.reduce_min": "Min",
    "math.reduce_sum": "Sum",
}
_SHAPES = {  # the operation, and how TensorFlow's and Keras' names of its setting differ
    "expand_dims": ("ExpandDims", {"axis": "axis"}),
    "reshape": ("Reshape", {"shape": "newshape"}),
    "squeeze": ("Squeeze", {"axis": "axis"}),
    "transpose": ("Transpose", {"perm": "axes"}),
}
_JOINS = {"concat": "Concatenate", "stack": "Stack"}


class Untranslatable(Exception):
    """What in an old configuration has no counterpart, as the end of a sentence."""


def modernise(entry: dict[str, Any]) -> None:
    """Write the entry of a layer or model anew, in place, where Keras 2 wrote it. Raises `Untranslatable`."""
    name, config = entry.get("class_name"), entry.get("config")
    if not isinstance(name, str):
        return
    name = entry["class_name"] = _SYNONYMS.get(name, name)
    if name == "Sequential" and isinstance(config, list):  # before Keras 2.2.3
        config = entry["config"] = {"name": "sequential", "layers": config}
    if not isinstance(config, dict):
        return
    if name == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")
    if name in MODELS:
        if isinstance(config.get("layers"), list):
            _give_input(name, config["layers"])
            _rewire(config, config["layers"])
        return
    for key, value in config.items():
        if isinstance(value, dict) and value.get("class_name") == "__numpy__":
            config[key] = _number(value)
    config.pop("batch_input_shape", None)
    for key, means_nothing in _FORGOTTEN.items():
        if key in config and means_nothing(config[key]) and not (key == "groups" and name in _GROUPED):
            del config[key]
    if name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if name in _WITHOUT_KERNEL:
        for key in _KERNEL_SETTINGS:
            config.pop(key, None)
    if name == "BatchNormalization" and isinstance(config.get("axis"), list) and len(config["axis"]) == 1:
        config["axis"] = config["axis"][0]


def _give_input(name: str, layers: list[Any]) -> None:
    """In Keras 2 the first layer of a sequential model can say what it takes."""
    first = layers[0] if layers and isinstance(layers[0], dict) else {}
    settings = first.get("config")
    if name != "Sequential" or first.get("class_name") == "InputLayer" or not isinstance(settings, dict):
        return
    shape = settings.get("batch_input_shape")
    if isinstance(shape, list):
        dtype = "int32" if first.get("class_name") == "Embedding" else "float32"
        layers.insert(0, {"class_name": "InputLayer", "config": {"batch_shape": shape, "dtype": dtype}})


def _number(value: dict[str, Any]) -> Any:
    """Keras 2.12 wrote some numbers as arrays without a dimension."""
    config = value.get("config")
    inner = config.get("value") if isinstance(config, dict) else None
    return inner if isinstance(inner, int | float) else value


def _rewire(config: dict[str, Any], layers: list[Any]) -> None:
    """The connections of a functional model, if they are written as Keras 2 wrote them."""
    layers = [layer for layer in layers if isinstance(layer, dict)]
    if not any(isinstance(node, list) for layer in layers for node in _nodes(layer)):
        return
    kinds = {layer["name"]: layer.get("class_name") for layer in layers if isinstance(layer.get("name"), str)}
    for layer in layers:
        connections = [_connection(node, kinds) for node in _nodes(layer)]
        if layer.get("class_name") in ("TFOpLambda", "SlicingOpLambda"):
            _as_operation(layer, connections)
        layer["inbound_nodes"] = [{"args": args, "kwargs": kwargs} for args, kwargs in connections]
        _rename(layer)
        if isinstance(layer.get("config"), dict):
            _rename(layer["config"])
    for key in ("input_layers", "output_layers"):
        config[key] = _ends(config.get(key), kinds)


def _nodes(layer: dict[str, Any]) -> list[Any]:
    nodes = layer.get("inbound_nodes")
    return nodes if isinstance(nodes, list) else []


def _rename(named: dict[str, Any]) -> None:
    """Keras 3 allows no slash in a name."""
    if isinstance(named.get("name"), str):
        named["name"] = named["name"].replace("/", "_")


def _connection(node: Any, kinds: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """The arguments with which a layer is called: `[["name", node, tensor, settings], ...]`, of operations without the
    outer list."""
    if not isinstance(node, list) or not node:
        raise Untranslatable("its layers are connected in a way that is not understood")
    parts = [node] if isinstance(node[0], str) else node
    if not all(isinstance(part, list) and len(part) in (3, 4) and isinstance(part[0], str) for part in parts):
        raise Untranslatable("its layers are connected in a way that is not understood")
    tensors = [_tensor(part, kinds) for part in parts]
    settings = parts[-1][3] if len(parts[-1]) == 4 else {}
    if not isinstance(settings, dict):
        raise Untranslatable("its layers are connected in a way that is not understood")
    settings = {key: _setting(value, kinds) for key, value in settings.items()}
    is_list = len(tensors) > 1
    return [tensors if is_list else tensors[0]], settings


def _tensor(part: list[Any], kinds: dict[str, Any]) -> Any:
    name, node, place = part[:3]
    if name == _CONSTANT:
        return place
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None], "dtype": "float32", "keras_history": [*_place(name, node, kinds), place]},
    }


def _place(name: str, node: Any, kinds: dict[str, Any]) -> tuple[str, Any]:
    """Keras 2 counts the calls of a nested model from 1, Keras 3 from 0."""
    if kinds.get(name) in MODELS and isinstance(node, int):
        node = max(0, node - 1)
    return name.replace("/", "_"), node


def _setting(value: Any, kinds: dict[str, Any]) -> Any:
    if isinstance(value, list) and value and value[0] == _CONSTANT:
        return value[2] if len(value) > 2 else None
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str) and value[0] in kinds:
        return _tensor(value, kinds)
    if isinstance(value, list):
        return [_setting(each, kinds) for each in value]
    return value


def _ends(places: Any, kinds: dict[str, Any]) -> Any:
    """The inputs or outputs of a model. Of nested functional models Keras 3, too, counts from 1 here."""
    if isinstance(places, list) and len(places) == 3 and isinstance(places[0], str):
        name, node, place = places
        if kinds.get(name) == "Sequential" and isinstance(node, int):
            node = max(0, node - 1)
        return [name.replace("/", "_"), node, place]
    if not isinstance(places, list):
        return places
    return _ends(places[0], kinds) if len(places) == 1 else [_ends(place, kinds) for place in places]


# Arithmetic on tensors


def _as_operation(layer: dict[str, Any], connections: list[tuple[list[Any], dict[str, Any]]]) -> None:
    """Make an operation of `keras.ops` of the entry of a TensorFlow function, and change its connections' arguments."""
    config = layer.get("config")
    function = config.get("function") if isinstance(config, dict) else None
    if not isinstance(function, str):
        raise Untranslatable("its arithmetic is written in a way that is not understood")
    settings: dict[str, Any] = {}
    module, name = _NUMPY, ""
    for args, kwargs in connections:
        module, name, own = _translated(function, args, kwargs)
        if settings not in ({}, own):
            raise Untranslatable(f"it calls TensorFlow's function {function[:60]!r} in two ways")
        settings = own
        kwargs.clear()
    layer.update(module=module, class_name=name, config={"name": layer.get("name"), **settings})


def _translated(function: str, args: list[Any], kwargs: dict[str, Any]) -> tuple[str, str, dict[str, Any]]:
    """The operation's module, name and settings; further tensors or numbers are appended to `args`."""
    if function in _BINARY:
        args.append(_array(_taken(kwargs, function, "y", "b")))
        if kwargs.get("transpose_a") or kwargs.get("transpose_b"):
            raise _no_counterpart(function)
        return _NUMPY, _BINARY[function], {}
    if function == "nn.bias_add" and kwargs.get("data_format") in (None, "NHWC"):
        args.append(_array(_taken(kwargs, function, "bias")))
        return _NUMPY, "Add", {}
    if function in _UNARY:
        return *_UNARY[function], {}
    if function in _REDUCTIONS:
        return _NUMPY, _REDUCTIONS[function], {"axis": kwargs.get("axis"), "keepdims": bool(kwargs.get("keepdims"))}
    if function in _SHAPES:
        name, names = _SHAPES[function]
        return _NUMPY, name, {ours: kwargs.get(theirs) for theirs, ours in names.items()}
    if function in _JOINS:
        return _NUMPY, _JOINS[function], {"axis": kwargs.get("axis", 0)}
    if function == "clip_by_value":
        return _NUMPY, "Clip", {"x_min": kwargs.get("clip_value_min"), "x_max": kwargs.get("clip_value_max")}
    if function == "cast":
        return "keras.src.ops.core", "Cast", {"dtype": kwargs.get("dtype")}
    if function == "math.l2_normalize":
        return _NN, "Normalize", {"axis": kwargs.get("axis"), "order": 2}
    if function == "__operators__.getitem":
        args.append([_index(part) for part in _taken(kwargs, function, "slice_spec")])
        return _NUMPY, "GetItem", {}
    raise _no_counterpart(function)


def _no_counterpart(function: str) -> Untranslatable:
    return Untranslatable(
        f"its model uses TensorFlow's function {function[:60]!r}, which Keras 3 cannot read: rebuild it with a layer "
        "of Keras or a function of keras.ops in its place and save it again"
    )


def _taken(kwargs: dict[str, Any], function: str, *names: str) -> Any:
    for name in names:
        if name in kwargs:
            return kwargs[name]
    raise _no_counterpart(function)


def _array(value: Any) -> Any:
    """A list of numbers, for an operation that takes a tensor."""
    return {"class_name": "__numpy__", "config": {"value": value, "dtype": "float32"}} if _is_list(value) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, int | float) or _is_list(each) for each in value)


def _index(part: Any) -> Any:
    """One part of `x[a:b, ...]`."""
    if isinstance(part, dict) and set(part) == {"start", "stop", "step"}:
        return {"class_name": "__slice__", "config": part}
    if isinstance(part, dict) and part.get("class_name") == "__ellipsis__":
        return {"class_name": "__ellipsis__", "config": {}}
    return part
