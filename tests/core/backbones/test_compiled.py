import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from core import activations
from core.backbones.compiled import CompiledPerModel
from core.featurevis.objectives import channel
from core.featurevis.parameterisations import pixels
from core.featurevis.render import render
from tests.core.tiny import TINY_SIZE, tiny_backbone, tiny_model


def test_built_once_however_many_threads_ask():
    compiled, model, built = CompiledPerModel(most=4), tiny_model(), []

    def ask(_):
        return compiled.get(model, "key", lambda: built.append(None) or object())

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(50)))
    assert len(built) == 1
    assert len(set(map(id, answers))) == 1


def test_the_least_recently_used_goes_first():
    compiled, model, built = CompiledPerModel(most=2), tiny_model(), []

    def ask(key):
        compiled.get(model, key, lambda: built.append(key))

    for key in ("a", "b", "a", "c", "a", "b"):
        ask(key)
    assert built == ["a", "b", "c", "b"]


def test_models_do_not_share():
    compiled, first, second = CompiledPerModel(most=2), tiny_model(), tiny_model()
    assert compiled.get(first, "key", lambda: 1) == 1
    assert compiled.get(second, "key", lambda: 2) == 2


def test_a_model_that_nobody_holds_is_freed_although_it_has_been_used():
    backbone = tiny_backbone()
    images = np.zeros((1, TINY_SIZE, TINY_SIZE, 3), np.uint8)
    activations.infer_layers(backbone, images, ["conv1", "predictions"])
    activations.class_probabilities(backbone, images)
    list(render(backbone, channel("conv2"), [0], parameterisation=pixels(TINY_SIZE), steps=1))
    model = weakref.ref(backbone.model)
    weight = weakref.ref(backbone.model.weights[0])
    del backbone
    gc.collect()  # frees the model
    gc.collect()  # and what was kept for it
    assert model() is None
    assert weight() is None
