"""Numbers for a network that was built without memory: those of its file, or those that its layers draw.

What comes from a file is never drawn before: an orthogonal kernel of a large layer alone would take minutes. And what
the file does not have shows: Keras only warns of some of it, and would go on with random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from core.errors import UserError

_MAX_ORTHOGONAL = 10**11  # rows × columns × the smaller of the two: some 20 s

Variables = Sequence[keras.Variable]  # in the order in which they were made


def from_file(model: keras.Model, made: Variables, weights: Path, name: str) -> None:
    """Give the variables `made` in building `model` memory, and the numbers in the file `weights`.

    What is no weight, a random generator's state for instance, begins as Keras lets it begin. Raises `UserError`, with
    `name` in its sentence, where the numbers do not fit, or do not reach every weight of the model.
    """
    scope = keras.StatelessScope(initialize_variables=False)
    try:
        with scope:  # it takes down what is assigned, and to which variable
            model.load_weights(str(weights))
    # Keras and HDF5 raise many kinds of errors here, with texts that mislead.
    except Exception as error:
        raise UserError(f"The weights in {name} do not fit the model in it: the file is damaged.") from error
    missing = [weight for weight in model.weights if scope.get_current_value(weight) is None]
    if missing:
        raise UserError(
            f"{name} is damaged: {len(missing):,} of the {len(model.weights):,} lists of weights that its model needs "
            "are not in it; save the model again with Keras."
        )
    for variable in made:
        value = scope.state_mapping.pop(id(variable), None)
        if value is not None:
            variable._initializer = lambda *_, value=value, **__: value
        variable._deferred_initialize()


def drawn(made: Variables, name: str) -> None:
    """Give the variables memory, and what their layers' initialisers draw. Raises `UserError` where that would take
    minutes; `name` is for its sentence."""
    work = sum(_orthogonal_work(variable) for variable in made)
    if work > _MAX_ORTHOGONAL:
        raise UserError(
            f"{name} cannot be opened with random weights: those of its layers would take minutes to draw. Open it "
            "with its own."
        )
    for variable in made:
        variable._deferred_initialize()


def _orthogonal_work(variable: keras.Variable) -> int:
    """Of the decomposition that makes a matrix orthogonal; its columns are the last axis."""
    if not isinstance(variable._initializer, keras.initializers.Orthogonal):
        return 0
    columns = max(1, variable.shape[-1])
    count = 1
    for side in variable.shape:
        count *= side
    return count * min(columns, count // columns)
