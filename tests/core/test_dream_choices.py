import pytest

from core.dream_choices import suggested_layers
from core.messages import LayerInfo, ModelInfo, ModelRef


def info(*layers, side=224):
    infos = tuple(LayerInfo(name, kind, shape, 1) for name, kind, shape in layers)
    return ModelInfo(ModelRef("some"), "Some", "", (side, side), 1, "", None, infos)


def test_the_embedded_model_has_a_recipe_also_within_a_trained_one():
    names = ("block9_expand_activation", "block10_add", "block11_expand_activation")
    for prefix in ("", "efficientnet_lite0/"):
        found = suggested_layers(info(*((f"{prefix}{name}", "ReLU", (14, 14, 9)) for name in names)))
        assert [name for name, _ in found] == [f"{prefix}{name}" for name in names]


def test_others_dream_with_the_ends_of_blocks_at_a_sixteenth():
    found = suggested_layers(
        info(
            ("early_add", "Add", (56, 56, 8)),
            *((f"add_{index}", "Add", (14, 14, 8)) for index in range(4)),
            ("relu", "ReLU", (14, 14, 8)),
            ("late_add", "Add", (7, 7, 8)),
            ("gate", "Add", (1, 1, 8)),
            ("predictions", "Dense", (10,)),
        )
    )
    assert found == (("add_2", 0.5), ("add_3", 1.0))


@pytest.mark.parametrize(
    ("layers", "side", "expected"),
    [
        ([("conv", "Conv2D", (24, 24, 3)), ("conv2", "Conv2D", (12, 12, 3))], 24, ["conv2"]),
        ([("conv", "Conv2D", (None, None, 3)), ("conv2", "Conv2D", (None, None, 3))], 24, ["conv2"]),
        ([("norm", "BatchNormalization", (2, 2, 3))], 32, ["norm"]),
        ([("dense", "Dense", (3,))], 24, []),
        ([], 24, []),
    ],
)
def test_small_and_strange_models_get_something_that_is_there(layers, side, expected):
    assert [name for name, _ in suggested_layers(info(*layers, side=side))] == expected
