"""The words that layers of a person's model look up: from the file, checked, onto the layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from core.backbones import layer_settings
from core.backbones.layer_settings import NotAllowed, shown

_LOOKUPS = (keras.layers.TextVectorization, keras.layers.StringLookup, keras.layers.IntegerLookup)


def give(model: keras.Model, words: Mapping[str, tuple[str, ...]], *, weighted: bool) -> dict[str, tuple[str, ...]]:
    """Set the `words`, by the paths of Keras' archives, on the layers of `model` that have none of their own.

    Returns the words of all layers that look words up, by the names of the layers ("inner/text_vectorization"), each
    at its number. Layers that weigh words (TF-IDF) need weights, which come with the model's own; where those are not
    loaded (not `weighted`), all weigh the same. Raises `NotAllowed` where words are missing or cannot be used.
    """
    found: dict[str, tuple[str, ...]] = {}
    for path, name, layer in _lookups(model):
        lookup = getattr(layer, "_lookup_layer", layer)
        if lookup.input_vocabulary is None:
            _set(lookup, words.get(path), name, weighted=weighted)
        if not lookup.invert:
            found[name] = _words_of(layer, name)
    return found


def _lookups(model: keras.Model, path: str = "", prefix: str = "") -> Iterator[tuple[str, str, Any]]:
    """The path in an archive, the name and the layer itself of each layer that looks words up."""
    used: dict[str, int] = {}
    for layer in model.layers:
        kind = _snake_case(type(layer).__name__)
        used[kind] = used.get(kind, -1) + 1
        place = f"{path}layers/{kind}_{used[kind]}" if used[kind] else f"{path}layers/{kind}"
        if isinstance(layer, keras.Model):
            yield from _lookups(layer, f"{place}/", f"{prefix}{layer.name}/")
        elif isinstance(layer, _LOOKUPS):
            yield place, f"{prefix}{layer.name}", layer


def _snake_case(name: str) -> str:
    """As Keras names the members of an archive."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _words_of(layer: Any, name: str) -> tuple[str, ...]:
    try:
        return tuple(str(word) for word in layer.get_vocabulary())
    # What Keras makes of strange settings shows only here.
    except Exception as error:
        raise NotAllowed(f"the words of its layer {shown(name)} cannot be read: save the model again") from error


def _set(lookup: Any, words: tuple[str, ...] | None, name: str, *, weighted: bool) -> None:
    if not words:
        raise NotAllowed(
            f"the words of its layer {shown(name)} are not in it: save the model as .keras after the layer has been "
            "adapted (an .h5 file does not keep words)"
        )
    layer_settings.check_words(words, name)
    try:
        values = list(words) if lookup.vocabulary_dtype == "string" else [int(word) for word in words]
        if lookup.output_mode == "tf_idf":
            weights = lookup.idf_weights_const.numpy() if weighted else np.ones(len(values), np.float32)
            lookup.set_vocabulary(values, idf_weights=weights)
        else:
            lookup.set_vocabulary(values)
    # Keras' own texts quote the whole vocabulary.
    except Exception as error:
        raise NotAllowed(
            f"the words of its layer {shown(name)} cannot be used: one comes twice, or there are too many"
        ) from error
