"""What the configuration of a person's model may name; the rest is refused.

A list of what is allowed, because lists of what is forbidden are never complete: Keras' own forgets hundreds of
registered functions. The module of everything is written anew from these lists, so that a file cannot say where a name
is looked up.
"""

from __future__ import annotations

from typing import Any

_MAX_NODES = 2_000_000
_MAX_DEPTH = 100
_MAX_CALLS = 5_000  # of layers, those of nested models counted as often as they are called


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MODELS = {"Functional", "Model", "Sequential"}

_LAYERS = _words("""
    InputLayer Dense Conv1D Conv2D Convolution2D SeparableConv2D SeparableConvolution2D DepthwiseConv2D
    Conv2DTranspose Convolution2DTranspose
    MaxPooling2D MaxPool2D AveragePooling2D AvgPool2D GlobalAveragePooling2D GlobalAvgPool2D GlobalMaxPooling2D
    GlobalMaxPool2D GlobalAveragePooling1D GlobalMaxPooling1D AdaptiveAveragePooling2D AdaptiveMaxPooling2D
    UpSampling2D ZeroPadding2D Cropping2D CenterCrop Resizing Rescaling Normalization
    BatchNormalization LayerNormalization GroupNormalization UnitNormalization RMSNormalization
    Activation ReLU LeakyReLU PReLU ELU Softmax Identity
    Add Subtract Multiply Average Maximum Minimum Concatenate Dot
    Flatten Reshape Permute RepeatVector TimeDistributed
    Dropout SpatialDropout1D SpatialDropout2D AlphaDropout GaussianDropout GaussianNoise ActivityRegularization
    MultiHeadAttention Attention
    RandomBrightness RandomColorJitter RandomContrast RandomCrop RandomErasing RandomFlip RandomGaussianBlur
    RandomGrayscale RandomHue RandomInvert RandomPerspective RandomRotation RandomSaturation RandomSharpness
    RandomShear RandomTranslation RandomZoom
    """)
_OPERATIONS = {
    "keras.src.ops.numpy": _words("""
        Absolute Add Average Clip Concatenate Divide Exp ExpandDims Flip GetItem Log Matmul Max Maximum Mean Min Minimum
        Moveaxis Multiply Negative Power Reshape Sqrt Square Squeeze Stack Subtract Sum Tanh Transpose TrueDivide Var
        """),
    "keras.src.ops.nn": _words("""
        Elu Gelu HardSigmoid HardSilu LeakyRelu LogSoftmax Relu Relu6 Selu Sigmoid Silu Softmax Softplus Softsign
        AveragePool MaxPool
        """),
    "keras.src.ops.core": {"Cast"},
}
_INITIALISERS = _words("""
    Constant GlorotNormal GlorotUniform HeNormal HeUniform LecunNormal LecunUniform Ones Orthogonal
    OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
    """)
_REGULARISERS = {"L1", "L2", "L1L2", "OrthogonalRegularizer"}
_CONSTRAINTS = {"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"}
_MODULES = {
    **dict.fromkeys(_LAYERS, "keras.layers"),
    **dict.fromkeys(_INITIALISERS, "keras.initializers"),
    **dict.fromkeys(_REGULARISERS, "keras.regularizers"),
    **dict.fromkeys(_CONSTRAINTS, "keras.constraints"),
    "DTypePolicy": "keras",
    "Functional": "keras.src.models.functional",
    "Model": "keras.src.models.functional",
    "Sequential": "keras",
    "LayerScale": "keras.src.applications.convnext",
    "CustomScaleLayer": "keras.src.applications.inception_resnet_v2",
}
_VALUES = {"__keras_tensor__", "__tensor__", "__numpy__", "__ellipsis__", "__slice__"}
_ACTIVATIONS = _words("""
    celu elu exponential gelu glu hard_shrink hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu linear log_sigmoid
    log_softmax mish relu relu6 selu sigmoid silu soft_shrink softmax softplus softsign sparse_plus sparse_sigmoid
    sparsemax squareplus swish tanh tanh_shrink threshold
    """)
_INITIALISER_NAMES = _words("""
    constant glorot_normal glorot_uniform he_normal he_uniform lecun_normal lecun_uniform ones orthogonal random_normal
    random_uniform truncated_normal variance_scaling zeros
    """)
_DTYPES = {"float16", "float32", "bfloat16", "mixed_float16", "mixed_bfloat16", "uint8", "int32", "int64", "bool"}
# Keras looks these strings up wherever a key ends so.
_STRINGS = {
    "activation": _ACTIVATIONS,
    "initializer": _INITIALISERS | _INITIALISER_NAMES,
    "regularizer": _REGULARISERS | {"l1", "l2", "l1_l2", "orthogonal_regularizer"},
    "constraint": _CONSTRAINTS | {"max_norm", "min_max_norm", "non_neg", "unit_norm"},
    "dtype": _DTYPES,
}


class NotAllowed(Exception):
    """What in the configuration is not allowed, as the end of a sentence."""


def rewrite(config: dict[str, Any]) -> None:
    """Check the parsed configuration and make it safe, in place: modules written anew, nothing compiled.

    Iterative, because a hostile configuration can be nested deeper than Python's stack. Raises `NotAllowed`.
    """
    nodes = calls = 0
    stack: list[tuple[Any, int, int]] = [(config, 0, 1)]
    while stack:
        value, depth, repeats = stack.pop()
        nodes += 1
        if nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise NotAllowed("the description of its model is too long or nested too deeply")
        if isinstance(value, dict):
            if "class_name" in value:
                _rewrite_entry(value)
                repeats *= _times_called(value)
                calls += repeats if "layers" in str(value.get("module")) or "ops" in str(value.get("module")) else 0
            if calls > _MAX_CALLS:
                raise NotAllowed(f"its model consists of more than {_MAX_CALLS:,} layers")
            for key, inner in value.items():
                _check_string(key, inner)
            stack += [(inner, depth + 1, repeats) for inner in value.values()]
        elif isinstance(value, list):
            stack += [(inner, depth + 1, repeats) for inner in value]


def _times_called(entry: dict[str, Any]) -> int:
    inbound = entry.get("inbound_nodes")
    return max(1, len(inbound)) if isinstance(inbound, list) else 1


def _rewrite_entry(entry: dict[str, Any]) -> None:
    name, module = entry["class_name"], entry.get("module")
    if not isinstance(name, str):
        raise NotAllowed("an entry of its model has no proper name")
    for key in ("compile_config", "registered_name", "shared_object_id"):
        entry.pop(key, None)
    if name in _VALUES:
        entry.pop("module", None)
    elif name == "function":
        if not isinstance(entry.get("config"), str) or entry["config"] not in _ACTIVATIONS:
            raise NotAllowed(f"its model uses the function {_shown(entry.get('config'))}, which is not on our list")
        entry["module"] = "builtins"
    elif isinstance(module, str) and name in _OPERATIONS.get(module, ()):
        pass
    elif name in _MODULES:
        entry["module"] = _MODULES[name]
        _rewrite_config(name, entry.get("config"))
    else:
        raise NotAllowed(f"its model uses {_shown(name)}, which is not on our list of layers")
    if name == "Model":
        entry["class_name"] = "Functional"


def _rewrite_config(name: str, config: Any) -> None:
    if not isinstance(config, dict):
        raise NotAllowed(f"the settings of {name} in its model are malformed")
    if name == "DTypePolicy" and config.get("name") not in _DTYPES:
        raise NotAllowed(f"its model uses the precision {_shown(config.get('name'))}, which is not on our list")
    # Older files call an input's shape by another name.
    if name == "InputLayer" and "batch_input_shape" in config:
        config["batch_shape"] = config.pop("batch_input_shape")


def _check_string(key: str, value: Any) -> None:
    if not isinstance(value, str):
        return
    for ending, names in _STRINGS.items():
        if key.endswith(ending) and value not in names:
            raise NotAllowed(f"its model uses the {ending} {_shown(value)}, which is not on our list")


def _shown(value: Any) -> str:
    return repr(str(value)[:60])
