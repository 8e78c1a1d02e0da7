"""Names that mean to be more than names, wherever they are shown; and a network whose classes bear them."""

from __future__ import annotations

from pathlib import Path

EVIL = "evil.example"  # where a request would go
# Without slashes, which a name in a path cannot have: a browser reads "https:x" as it does "https://x".
NAMES = (
    f"![x](https:{EVIL})",
    f"<img src=https:{EVIL} onerror=alert(1)>",
    f"<script>fetch('https:{EVIL}')<script>",
    f"[a](javascript:alert('{EVIL}'))",
    f"<a href=https:{EVIL}>a<br><b>bold<b>",
    "$\\LaTeX$ $$x^2$$ :material/skull: :red[red] :skull:",
    f"https:{EVIL} www.{EVIL}",
    f'=HYPERLINK("https:{EVIL}")',
    "%s{0}{{x}}%{text}<extra>",
    "\u202egnp.\u2066\u200fright to left",
    "# _head_ **line** `code` ~~gone~~ | - 1.",
    "x" * 60_000,
)


def as_part(name: str) -> str:
    """The name as a part of a path can bear it."""
    return name.replace("/", "").replace("\\", "")


def network(path: Path, classes: tuple[str, ...]) -> None:
    """A small network whose classes are called so. Its layers cannot be: what has most other signs in its layers' names
    is refused, and these have what is left."""
    import keras

    from core.backbones import imported
    from tests.core.tiny import with_seeded_weights

    inputs = x = keras.Input((32, 32, 3), name="script>alert>1")
    x = keras.layers.Rescaling(1 / 255)(x)
    for name in ("_head_", "__bold__", "www.evil.example", "-1"):
        x = keras.layers.Conv2D(8, 3, activation="relu", padding="same", name=name)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    outputs = keras.layers.Dense(len(classes), activation="softmax")(x)
    model = with_seeded_weights(keras.Model(inputs, outputs, name="_name_"))
    model.layers[-1].bias.assign(keras.ops.linspace(9.0, 0.0, len(classes)))  # the first are said first
    model.save(path)
    imported.write_facts(path, classes, (32, 32))
