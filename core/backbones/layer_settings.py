"""What the settings of a layer in a person's file may say, where a class alone is not harmless.

Layers that look words up can be told to read a file, to decode by a codec, or to keep a table of any size; some
operations can be told to make something large out of something small before anybody has counted it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

MAX_WORDS = 1_000_000
MAX_WORD_BYTES = 256 * 1024**2  # as an array in which each word takes as much as the longest
_MAX_TABLE = 10_000_000
_MAX_EQUATION = 200  # characters
_LOOKUPS = {"TextVectorization", "StringLookup", "IntegerLookup"}
_OUTPUT_MODES = {"int", "one_hot", "multi_hot", "count", "tf_idf", "binary", "tf-idf"}
_CHOICES = {
    "standardize": {None, "lower_and_strip_punctuation", "lower", "strip_punctuation"},
    "split": {None, "whitespace", "character"},
    "encoding": {"utf-8", "UTF-8", "utf8"},
    "output_mode": _OUTPUT_MODES,
    "vocabulary_dtype": {"string", "int32", "int64"},
    "oov_method": {"floormod", "farmhash"},
}
_LIMITS = {  # the largest whole number that each of these may be
    "max_tokens": _MAX_TABLE,
    "vocabulary_size": _MAX_TABLE,
    "num_oov_indices": 100_000,
    "output_sequence_length": 100_000,
    "num_tokens": _MAX_TABLE,
    "num_bins": _MAX_TABLE,
    "n": 10_000_000,
    "units": 2**31,
    "filters": 2**31,
    "lora_rank": 10_000,
    "power_iterations": 100,
    "num_classes": _MAX_TABLE,
    "num": 10_000,  # each makes a tensor of its own
    "indices_or_sections": 10_000,
}
_ENCODERS = _LOOKUPS | {"CategoryEncoding", "Discretization", "Hashing", "HashedCrossing"}


class NotAllowed(Exception):
    """What in the configuration is not allowed, as the end of a sentence."""


def shown(value: Any) -> str:
    """A value of the file in a sentence for a person: on one line, and not long."""
    return repr(str(value)[:60])


def check(name: str, config: dict[str, Any]) -> None:
    """Check what the layer of class `name` is told. Raises `NotAllowed`."""
    layer = config.get("name")
    if layer is not None and not isinstance(layer, str):
        raise NotAllowed(f"a layer {name} in its model has no proper name")
    _check_limits(name, config)
    if config.get("quantization_config") is not None:
        raise NotAllowed(f"its layer {shown(layer)} is quantised: save the model again before quantising it")
    for key in ("equation", "subscripts"):
        if len(str(config.get(key, ""))) > _MAX_EQUATION:
            raise NotAllowed(f"the equation of its layer {shown(layer)} is too long")
    if "unroll" in config:  # it changes no number, only how long it takes to build
        config["unroll"] = False
    if name == "Normalization" and config.get("mean") is not None:
        _normalise_few(config, shown(layer))
    if name in _LOOKUPS:
        _check_lookup(name, config)
    if name in _ENCODERS and config.get("output_mode", "int") not in _OUTPUT_MODES:
        raise NotAllowed(f"its layer {shown(layer)} has an output mode that Keras does not have")
    if name == "Discretization" and not _is_list_of(config.get("bin_boundaries") or [], _is_number):
        raise NotAllowed(f"the boundaries in its layer {shown(layer)} are not numbers")


def check_operation(name: str, config: Any) -> None:
    """Check what the operation of class `name` is told. Raises `NotAllowed`."""
    if not isinstance(config, dict):
        raise NotAllowed(f"the settings of {name} in its model are malformed")
    _check_limits(name, config)
    if name == "Diff" and config.get("n") not in range(1, 100):  # each is an operation of its own
        raise NotAllowed(f"its operation {shown(config.get('name'))} takes differences too often")
    if name in ("Repeat", "Tile", "Pad", "BroadcastTo", "Resize", "PadImages"):
        for number in _numbers_in(config):
            if abs(number) > 1_000_000:
                raise NotAllowed(f"its operation {shown(config.get('name'))} would make something of enormous size")


def check_words(words: Sequence[Any], layer: str) -> None:
    """Check a vocabulary before it becomes an array. Raises `NotAllowed`."""
    if len(words) > MAX_WORDS:
        raise NotAllowed(f"its layer {shown(layer)} has {len(words):,} words; up to {MAX_WORDS:,} are read")
    longest = max((len(str(word)) for word in words), default=0)
    if 4 * longest * len(words) > MAX_WORD_BYTES:
        raise NotAllowed(f"its layer {shown(layer)} has words of up to {longest:,} letters, too many to keep")


def _check_limits(name: str, config: dict[str, Any]) -> None:
    for key, most in _LIMITS.items():
        value = config.get(key)
        # An array of one number would be taken for it.
        if isinstance(value, dict) or (isinstance(value, (int, float)) and not 0 <= value <= most):
            what = shown(config.get("name") or name)
            raise NotAllowed(f"its layer {what} has {key} = {str(value)[:20]}, which is more than can be opened")


def _normalise_few(config: dict[str, Any], layer: str) -> None:
    """Keras copies a mean that is alike along an axis to each place of it, however many there are; where the axis is
    not named, the arithmetic does the same without copies."""
    axes = config.get("axis", -1)
    axes = [] if axes is None else sorted(axes) if _is_list_of(axes, _is_whole) else [axes]
    means, variances = (np.asarray(config.get(key), np.float64) for key in ("mean", "variance"))
    if (
        not _is_list_of(axes, _is_whole)
        or (axes and (axes[0] < 0) != (axes[-1] < 0))
        or means.shape != variances.shape
        or means.ndim > len(axes)
    ):
        raise NotAllowed(f"the mean and variance of its layer {layer} do not fit its axes")
    along = axes[len(axes) - means.ndim :]
    config["axis"] = [axis for axis, length in zip(along, means.shape, strict=True) if length != 1]
    config["mean"], config["variance"] = means.squeeze().tolist(), variances.squeeze().tolist()


def _check_lookup(name: str, config: dict[str, Any]) -> None:
    layer = shown(config.get("name"))
    vocabulary = config.get("vocabulary")
    if isinstance(vocabulary, str):
        raise NotAllowed(
            f"its layer {layer} would read its words from the file {shown(vocabulary)}: save the model anew with the "
            "words in it, as `adapt` or a list of words does"
        )
    is_word: Callable[[Any], bool] = _is_whole if name == "IntegerLookup" else _is_word
    if vocabulary is not None and not _is_list_of(vocabulary, is_word):
        raise NotAllowed(f"the words of its layer {layer} are no list of words")
    check_words(vocabulary or (), config.get("name") or name)
    if config.get("idf_weights") is not None and not _is_list_of(config["idf_weights"], _is_number):
        raise NotAllowed(f"the weights of the words of its layer {layer} are not numbers")
    for key, choices in _CHOICES.items():
        value = config.get(key)
        if key in config and (not isinstance(value, str | None) or value not in choices):
            raise NotAllowed(
                f"its layer {layer} splits or cleans text by {shown(value)} ({key}), which is code or no setting of "
                "Keras: use one of Keras' own and save the model again"
            )
    ngrams = config.get("ngrams")
    ngrams = ngrams if isinstance(ngrams, list) else [ngrams]
    if not all(n is None or (type(n) is int and 1 <= n <= 20) for n in ngrams) or len(ngrams) > 20:
        raise NotAllowed(f"its layer {layer} makes groups of more than 20 words")


def _is_list_of(value: Any, is_one: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(is_one, value))


def _is_word(value: Any) -> bool:
    return isinstance(value, str)


def _is_whole(value: Any) -> bool:
    return type(value) is int


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _numbers_in(value: Any) -> list[float]:
    found, stack = [], [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item
        elif type(item) in (int, float):
            found.append(item)
    return found
