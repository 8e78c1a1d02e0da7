"""What the configuration of a person's model may name; the rest is refused.

A list of what is allowed, because lists of what is forbidden are never complete: Keras' own forgets hundreds of
registered functions. The module of everything is written anew from these lists, so that a file cannot say where a name
is looked up.
"""

from __future__ import annotations

import re
from typing import Any

import keras

from core.backbones import layer_settings, legacy_configs
from core.backbones.layer_settings import NotAllowed, shown

_MAX_NODES = 2_000_000
_MAX_DEPTH = 100
_MAX_CALLS = 5_000  # of layers, those of nested models counted as often as they are called
_MAX_BACKWARDS = 500  # layers named before what they need: each may cost Keras another round through all
_MAX_STRING = 10_000  # characters
_MAX_NUMBER = 2**63
_NAME = re.compile(r"[A-Za-z0-9_.>/-]*")  # what TensorFlow takes for a scope, but the backslash


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _by_rank(text: str) -> frozenset[str]:
    """Each name with 1D, 2D and 3D for its N."""
    return frozenset(name.replace("N", f"{rank}D") for name in text.split() for rank in (1, 2, 3))


MODELS = legacy_configs.MODELS

_LAYERS = _by_rank("""
    ConvN ConvolutionN MaxPoolingN MaxPoolN AveragePoolingN AvgPoolN GlobalAveragePoolingN GlobalAvgPoolN
    GlobalMaxPoolingN GlobalMaxPoolN AdaptiveAveragePoolingN AdaptiveMaxPoolingN UpSamplingN ZeroPaddingN CroppingN
    SpatialDropoutN ConvLSTMN
    """) | _words("""
    Conv1DTranspose Conv2DTranspose Conv3DTranspose Convolution1DTranspose Convolution2DTranspose
    Convolution3DTranspose SeparableConv1D SeparableConv2D SeparableConvolution1D SeparableConvolution2D
    DepthwiseConv1D DepthwiseConv2D
    InputLayer Dense EinsumDense Embedding ReversibleEmbedding Masking
    CenterCrop Resizing Rescaling Normalization
    BatchNormalization LayerNormalization GroupNormalization UnitNormalization RMSNormalization SpectralNormalization
    Activation ReLU LeakyReLU PReLU ELU Softmax Identity
    Add Subtract Multiply Average Maximum Minimum Concatenate Dot
    Flatten Reshape Permute RepeatVector
    LSTM LSTMCell GRU GRUCell SimpleRNN SimpleRNNCell RNN StackedRNNCells Bidirectional TimeDistributed
    MultiHeadAttention Attention AdditiveAttention GroupQueryAttention
    Dropout AlphaDropout GaussianDropout GaussianNoise ActivityRegularization
    TextVectorization StringLookup IntegerLookup CategoryEncoding Discretization Hashing HashedCrossing
    AutoContrast Equalization RandomBrightness RandomColorDegeneration RandomColorJitter RandomContrast RandomCrop
    RandomElasticTransform RandomErasing RandomFlip RandomGaussianBlur RandomGrayscale RandomHue RandomInvert
    RandomPerspective RandomPosterization RandomRotation RandomSaturation RandomSharpness RandomShear
    RandomTranslation RandomZoom Solarization
    """)
_OPERATIONS = {
    "keras.src.ops.numpy": _words("""
        Absolute Add All Amax Amin Any Arccos Arcsin Arctan Arctan2 Argmax Argmin Argsort Average BroadcastTo Ceil Clip
        Concatenate Cos Cosh CountNonzero Cross Cumprod Cumsum Diagonal Diff Divide DivideNoNan Dot Einsum Equal Exp
        Exp2 ExpandDims Expm1 Flip Floor FloorDivide FullLike GetItem Greater GreaterEqual Hstack Isfinite Isinf Isnan
        Less LessEqual Log Log10 Log1p Log2 Logaddexp LogicalAnd LogicalNot LogicalOr LogicalXor Matmul Max Maximum Mean
        Median Min Minimum Mod Moveaxis Multiply NanToNum Negative NotEqual OnesLike Outer Pad Power Prod Ravel
        Reciprocal Repeat Reshape Roll Round Sign Sin Sinh Sort Split Sqrt Square Squeeze Stack Std Subtract Sum
        Swapaxes Take TakeAlongAxis Tan Tanh Tensordot Tile Trace Transpose Tril Triu TrueDivide Trunc Var Vdot Vstack
        Where ZerosLike
        """),
    "keras.src.ops.nn": _words("""
        AdaptiveAveragePool AdaptiveMaxPool AveragePool Celu DepthToSpace DotProductAttention Elu Gelu Glu HardShrink
        HardSigmoid HardSilu HardTanh LayerNorm LeakyRelu LogSigmoid LogSoftmax MaxPool Moments MultiHot Normalize
        OneHot RMSNorm Relu Relu6 Selu Sigmoid Silu SoftShrink Softmax Softplus Softsign SpaceToDepth Sparsemax
        SparsePlus SparseSigmoid Squareplus TanhShrink Threshold
        """),
    "keras.src.ops.core": _words("Cast SaturateCast Slice StopGradient Unstack"),
    "keras.src.ops.math": _words("Erf Logsumexp Rsqrt SegmentReduction TopK"),
    "keras.src.ops.linalg": _words("Norm"),
    "keras.src.ops.image": _words("CropImages PadImages RGBToGrayscale RGBToHSV HSVToRGB Resize"),
}
_INITIALISERS = _words("""
    Constant GlorotNormal GlorotUniform HeNormal HeUniform Identity IdentityInitializer LecunNormal LecunUniform Ones
    Orthogonal OrthogonalInitializer RandomNormal RandomUniform TruncatedNormal VarianceScaling Zeros
    """)
_REGULARISERS = {"L1", "L2", "L1L2", "OrthogonalRegularizer"}
_CONSTRAINTS = {"MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm"}
_MODULES = {
    **dict.fromkeys(_INITIALISERS, "keras.initializers"),
    **dict.fromkeys(_LAYERS, "keras.layers"),
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
    constant glorot_normal glorot_uniform he_normal he_uniform identity lecun_normal lecun_uniform normal one ones
    orthogonal random_normal random_uniform truncated_normal uniform variance_scaling zero zeros
    """)
_DTYPES = _words("""
    float16 float32 float64 bfloat16 mixed_float16 mixed_bfloat16 uint8 int8 int16 int32 int64 bool string
    """)
# Keras looks these strings up wherever a key ends so.
_STRINGS = {
    "activation": _ACTIVATIONS,
    "initializer": _INITIALISERS | _INITIALISER_NAMES,
    "regularizer": _REGULARISERS | {"l1", "l2", "l1_l2", "orthogonal_regularizer"},
    "constraint": _CONSTRAINTS | {"max_norm", "min_max_norm", "non_neg", "unit_norm"},
    "dtype": _DTYPES,
}


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
                if _is_called(value):
                    _check_name(value.get("config"))
                    calls += repeats
            if calls > _MAX_CALLS:
                raise NotAllowed(f"its model consists of more than {_MAX_CALLS:,} layers")
            for key, inner in value.items():
                _check_string(key, inner)
            stack += [(inner, depth + 1, repeats) for inner in value.values()]
        elif isinstance(value, list):
            stack += [(inner, depth + 1, repeats) for inner in value]
        else:
            _check_plain(value)


def _times_called(entry: dict[str, Any]) -> int:
    inbound = entry.get("inbound_nodes")
    return max(1, len(inbound)) if isinstance(inbound, list) else 1


def _is_called(entry: dict[str, Any]) -> bool:
    return entry["class_name"] in _LAYERS | MODELS or ".ops." in str(entry.get("module"))


def _check_name(config: Any) -> None:
    """Each layer's name becomes that of a scope in TensorFlow, which fails over others when it computes."""
    name = config.get("name") if isinstance(config, dict) else None
    if isinstance(name, str) and not _NAME.fullmatch(name):
        raise NotAllowed(
            f"TensorFlow cannot compute with a layer called {shown(name)}; give it a name of the letters A to Z, "
            "digits, _ and - alone"
        )


def _rewrite_entry(entry: dict[str, Any]) -> None:
    try:
        legacy_configs.modernise(entry)
    except legacy_configs.Untranslatable as error:
        raise NotAllowed(str(error)) from error
    name, module = entry["class_name"], entry.get("module")
    if not isinstance(name, str):
        raise NotAllowed("an entry of its model has no proper name")
    # A layer is built when it is called; one that is built as its own entry says may belong to no model.
    for key in ("build_config", "compile_config", "registered_name", "shared_object_id"):
        entry.pop(key, None)
    if name in _VALUES:
        entry.pop("module", None)
        _check_value(name, entry.get("config"))
    elif name == "function":
        if not isinstance(entry.get("config"), str) or entry["config"] not in _ACTIVATIONS:
            raise NotAllowed(
                f"its model uses the function {shown(entry.get('config'))}, which is no activation of Keras: put one "
                "of Keras' own in its place"
            )
        entry["module"] = "builtins"
    elif isinstance(module, str) and name in _OPERATIONS.get(module, ()):
        layer_settings.check_operation(name, entry.get("config"))
    elif name in _MODULES and not _is_operation(module):
        is_initialiser = name in _INITIALISERS and "initializers" in str(module)
        entry["module"] = "keras.initializers" if is_initialiser else _MODULES[name]
        _rewrite_config(name, entry.get("config"))
    else:
        raise _unknown(name, entry.get("config"))
    if name == "Model":
        entry["class_name"] = "Functional"


def _check_value(name: str, config: Any) -> None:
    """NumPy takes a dictionary or a list for a type, too: one that makes gigabytes of a single number."""
    if isinstance(config, dict) and config.get("dtype") is not None and not isinstance(config["dtype"], str):
        raise NotAllowed(f"the type of a number in its model ({name}) is none of Keras'")


def _is_operation(module: Any) -> bool:
    return isinstance(module, str) and module.startswith("keras.src.ops")


def _unknown(name: str, config: Any) -> NotAllowed:
    layer = f" {shown(config['name'])}" if isinstance(config, dict) and isinstance(config.get("name"), str) else ""
    if name == "__lambda__":
        return NotAllowed(
            "it holds a function in Python, which is code and is never run here: rebuild the model with layers and "
            "activations of Keras and save it again"
        )
    if name == "Lambda":
        return NotAllowed(
            f"its Lambda layer{layer} is code, which is never run here: rebuild the model with a layer of Keras in its "
            "place (Rescaling, Activation, Reshape ...) and save it again"
        )
    if hasattr(keras.layers, name):
        return NotAllowed(
            f"its layer{layer} is a {shown(name)}, which is not on the list of what is opened here: put another layer "
            "of Keras in its place and save it again"
        )
    what = f"its layer{layer} is of" if layer else "it uses"
    return NotAllowed(
        f"{what} the class {shown(name)}, which Keras 3 does not have and whose code is not in the "
        "file: rebuild the model with layers of Keras in its place and save it again"
    )


def _rewrite_config(name: str, config: Any) -> None:
    if not isinstance(config, dict):
        raise NotAllowed(f"the settings of {name} in its model are malformed")
    if name in ("Functional", "Model"):
        _check_order(config)
    if name == "DTypePolicy" and config.get("name") not in _DTYPES:
        raise NotAllowed(f"its model uses the precision {shown(config.get('name'))}, which is not on our list")
    layer_settings.check(name, config)


def _check_order(config: dict[str, Any]) -> None:
    """Keras goes through all layers again and again until each has what it needs, so that a list of thousands that
    stands on its head would take minutes."""
    layers = [layer for layer in config.get("layers") or () if isinstance(layer, dict)]
    places = {layer["name"]: place for place, layer in enumerate(layers) if isinstance(layer.get("name"), str)}
    backwards = sum(
        places.get(name, 0) > place for place, layer in enumerate(layers) for name in _needs(layer.get("inbound_nodes"))
    )
    if backwards > _MAX_BACKWARDS:
        raise NotAllowed("its layers are listed in an order that no Keras writes")


def _needs(nodes: Any) -> list[str]:
    """The names of the layers that are asked for in the description of a layer's calls."""
    names, stack = [], [nodes]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            history = value.get("keras_history")
            if isinstance(history, list) and history and isinstance(history[0], str):
                names.append(history[0])
            stack += value.values()
        elif isinstance(value, list):
            stack += value
    return names


def _check_string(key: str, value: Any) -> None:
    if not isinstance(value, str):
        return
    for ending, names in _STRINGS.items():
        if key.endswith(ending) and value not in names:
            raise NotAllowed(
                f"its model uses the {ending} {shown(value)}, which Keras does not have: put one of Keras' own in its "
                "place and save it again"
            )


def _check_plain(value: Any) -> None:
    if isinstance(value, str) and len(value) > _MAX_STRING:
        raise NotAllowed("the description of its model has a text of more than 10,000 characters in it")
    if isinstance(value, str) and any("\ud800" <= sign <= "\udfff" for sign in value):
        raise NotAllowed("the description of its model has a text in it that is no text")
    if isinstance(value, int) and abs(value) > _MAX_NUMBER:
        raise NotAllowed("the description of its model has a number of more than 18 digits in it")
