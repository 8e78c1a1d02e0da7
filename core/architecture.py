"""A network's build at a glance, from the description of its layers alone: kinds of layers, blocks, stages."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise, takewhile

from core.messages import LayerInfo

MOST_BLOCKS = 70
FEWEST_STAGES, MOST_STAGES = 8, 14
_VECTORS = 99  # their level: behind all maps

# The colours are those of Okabe and Ito and of Tol, which colour-blind people can tell apart.
KINDS = {
    "convolution": ("convolution", "#0072b2"),
    "depthwise": ("depthwise convolution", "#56b4e9"),
    "pooling": ("pooling", "#e6b800"),
    "normalisation": ("normalisation", "#9ca3af"),
    "activation": ("activation", "#009e73"),
    "merge": ("joining of branches", "#cc79a7"),
    "dense": ("dense layer", "#882255"),
    "recurrent": ("recurrent layer", "#999933"),
    "attention": ("attention", "#332288"),
    "other": ("other", "#c4b5a0"),
}
_PATTERNS = (
    ("attention", r"Attention"),
    ("recurrent", r"LSTM$|GRU$|RNN$|^Bidirectional$"),
    ("depthwise", r"Depthwise"),
    ("convolution", r"Conv"),
    ("pooling", r"Pool"),
    ("normalisation", r"Normalization"),
    ("merge", r"^(Add|Subtract|Multiply|Average|Maximum|Minimum|Concatenate|Dot)$"),
    ("dense", r"Dense"),
    (
        "activation",
        r"^(Activation|P?ReLU|ELU|Elu|Selu|Gelu|Silu|Relu6?|Leaky\w+|Hard\w+|\w*Softmax|Sigmoid|Tanh|Soft\w+)$",
    ),
)
# Names like block3_add, conv2_block1_out, block_4_expand, stage_0_block_2_depthwise, expanded_conv_3_project.
_NAMED_BLOCK = re.compile(r"(.*(?:block_?|expanded_conv_?)\d+[a-z]?)(?:_|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Block:
    """Layers that belong together, in the order of computation, at least one."""

    layers: tuple[LayerInfo, ...]

    @property
    def layer(self) -> LayerInfo:
        """The one to look at: what comes out of the block, best after an activation or a joining of branches."""
        drawable = [layer for layer in self.layers if is_drawable(layer)] or list(self.layers)
        size = cells(drawable[-1])
        if size is None:
            return drawable[-1]
        maps = [layer for layer in drawable if cells(layer) == size]
        end = drawable[-1]
        if kind(end) == "pooling":  # what it has made smaller can be seen better before
            before = [layer for layer in drawable if kind(layer) in ("convolution", "merge", "activation")]
            return before[-1] if before else end
        finished = [layer for layer in maps if kind(layer) in ("merge", "activation")]
        return finished[-1] if finished else end

    @property
    def clearest(self) -> LayerInfo:
        """The last layer of the same map size that is easy to read: what an activation lets pass.

        A sum of branches mixes what speaks for and against many things at once.
        """
        size = cells(self.layer)
        passed = [
            layer
            for layer in self.layers
            if cells(layer) == size
            and (kind(layer) == "activation" or (kind(layer) == "merge" and layer.type in ("Concatenate", "Multiply")))
        ]
        return passed[-1] if size and passed else self.layer

    @property
    def kind(self) -> str:
        """That of the layer which does most of the work."""
        hardest = max(self.layers, key=lambda layer: layer.multiply_adds)
        if hardest.multiply_adds:
            return kind(hardest)
        return next((kind(layer) for layer in self.layers if _begins(layer)), kind(self.layers[0]))

    @property
    def name(self) -> str:
        """ "block3", "block5 to block7", or the name of the layer to look at."""
        if len(self.layers) == 1:
            return self.layers[0].name
        parts = [part for part in dict.fromkeys(_named_block(layer) for layer in self.layers) if part]
        if not parts:
            return self.layer.name
        first, last = parts[0], parts[-1]
        if len(parts) == 1:
            return first
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False)))
        return f"{first} to {last[max(last.rfind('_', 0, same), last.rfind('/', 0, same)) + 1 :]}"

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        return sum(layer.multiply_adds for layer in self.layers)

    def __contains__(self, name: str) -> bool:
        return any(layer.name == name for layer in self.layers)


def kind(layer: LayerInfo) -> str:
    """A key of `KINDS`."""
    found = next((name for name, pattern in _PATTERNS if re.search(pattern, layer.type)), "other")
    return "other" if found == "merge" and len(layer.inputs) == 1 else found  # x + 3 joins nothing


def is_drawable(layer: LayerInfo) -> bool:
    """Whether it has channels: maps, a vector, steps or a volume."""
    return layer.kind != "other" and bool(layer.channels)


def map_size(layer: LayerInfo) -> tuple[int, int] | None:
    """(height, width) of maps that are more than one cell and of known size."""
    return cells(layer) if layer.is_spatial else None


def cells(layer: LayerInfo) -> tuple[int, ...] | None:
    """On what a channel has its values: (height, width) of maps, (steps,), (depth, height, width) of a volume.

    `None` where that is a single value or of unknown size.
    """
    size = layer.output_shape[:-1]
    return None if None in size or math.prod(size) == 1 else size


def side(layer: LayerInfo) -> float | None:
    """Of its maps, the longer one; of steps, that of a square of as many cells."""
    size = cells(layer)
    if size is None:
        return None
    return math.sqrt(size[0]) if len(size) == 1 else float(max(size))


@dataclass(frozen=True)
class Tiling:
    """The steps of a layer as tiles of the photo, row by row; the `first` ones (a class token) are none of them."""

    rows: int
    columns: int
    first: int = 0


def tiling(layers: Sequence[LayerInfo], layer: LayerInfo) -> Tiling | None:
    """The tiles that the steps of `layer` stand for, if they do: `None` where nothing speaks for it.

    That is so where maps of as many cells, or one fewer, were laid out as steps on the way to it. Where a network cuts
    the photo into tiles without making maps of them, a square number of steps is taken for a square of tiles.
    """
    if layer.kind != "steps" or not layer.output_shape[0]:
        return None
    steps = layer.output_shape[0]
    before = _all_before(layers, layer)
    for maps in reversed(before):
        size = map_size(maps)
        if size is not None and math.prod(size) in (steps, steps - 1):
            return Tiling(*size, first=steps - math.prod(size))
    if any(kind(each) in ("recurrent", "convolution") for each in (*before, layer)):
        return None
    root = math.isqrt(steps)
    square = next((Tiling(root, root, first) for first in (0, 1) if root**2 + first == steps), None)
    return square if root >= 3 else None


def _all_before(layers: Sequence[LayerInfo], layer: LayerInfo) -> list[LayerInfo]:
    """All layers that `layer` is computed from, in their order."""
    by_name, found, waiting = {each.name: each for each in layers}, set(), [*layer.inputs]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in found:
            found.add(name)
            waiting.extend(by_name[name].inputs)
    return [each for each in layers if each.name in found]


def takes_any_size(layers: Sequence[LayerInfo], layer: LayerInfo) -> bool:
    """Whether `layer` of a network that fixes its photo size can be computed at others: it comes of maps alone, which
    are pooled where it is a vector, and of nothing that lays their cells out in a row."""
    way = [*_all_before(layers, layer), layer]
    if any(each.kind not in ("maps", "vector") or each.type in ("Flatten", "Reshape", "Permute") for each in way):
        return False
    return any(each.is_spatial for each in way)


def first_look(layers: Sequence[LayerInfo]) -> str:
    """The layer to begin with: the end of the first block that finds something in the photo, if there is any."""
    drawable = [layer for layer in layers if is_drawable(layer)]
    found = _fused(drawable)
    for kinds in (("convolution", "depthwise", "recurrent", "attention"), ("dense",)):
        for block in found:
            if block.kind in kinds:
                return block.layer.name
    return drawable[-1].name if drawable else ""


def blocks(layers: Sequence[LayerInfo]) -> tuple[Block, ...]:
    """All layers in at most `MOST_BLOCKS` blocks: as fine as that allows.

    One block for each layer; or for each convolution with its normalisation and activation; or with the joining of
    branches that follows; or for each block of the architecture; or for several of them of the same map size.
    """
    if not layers:
        return ()
    for cut in (_one_by_one, _fused, _joined, _units):
        found = cut(layers)
        if len(found) <= MOST_BLOCKS:
            return found
    for together in range(2, len(found) + 1):
        wider = _groups(found, together)
        if len(wider) <= MOST_BLOCKS:
            return wider
    return _chunks(found, MOST_BLOCKS)


def stages(layers: Sequence[LayerInfo]) -> tuple[Block, ...]:
    """A few milestones between pixels and prediction, one or more for each map size: 6 to 14 where there are layers
    enough. What gives vectors at the end is the last one."""
    if not layers:
        return ()
    units = _units(layers)
    levels = _levels(units)
    runs = [[unit for unit, _ in run] for _, run in groupby(zip(units, levels, strict=True), key=lambda each: each[1])]
    if len(runs) > 1 and not any(_begins(layer) for unit in runs[0] for layer in unit.layers):
        runs[:2] = [[*runs[0], *runs[1]]]  # the pixels' preparation is no stage of its own
    end = [runs.pop()] if levels[-1] == _VECTORS and len(runs) > 1 else []
    while len(runs) + len(end) < FEWEST_STAGES and max(map(len, runs)) > 1:
        longest = max(range(len(runs)), key=lambda place: len(runs[place]))
        half = (len(runs[longest]) + 1) // 2
        runs[longest : longest + 1] = [runs[longest][:half], runs[longest][half:]]
    return (*_chunks([_together(run) for run in runs], MOST_STAGES - len(end)), *map(_together, end))


def milestones(layers: Sequence[LayerInfo]) -> tuple[Block, ...]:
    """Those of `stages` that give maps, steps or a volume; where none does, all of them but the answer."""
    found = stages(layers)
    with_cells = tuple(stage for stage in found if stage.layer.kind in ("maps", "steps", "volume"))
    return with_cells or tuple(stage for stage in found[:-1] if is_drawable(stage.layer))


# --- Words -----------------------------------------------------------------------------------------------------------


def shape_words(layer: LayerInfo) -> str:
    """`64 channels of 28 × 28`, `197 steps of 768 units`, as a person says it."""
    sizes = ["any" if size is None else str(size) for size in layer.output_shape]
    if layer.kind == "vector":
        return f"{sizes[0]} units"
    if layer.kind == "steps":
        return f"{sizes[0]} steps of {sizes[1]} units" if layer.output_shape[0] else f"steps of {sizes[1]} units"
    if layer.kind in ("maps", "volume"):
        return f"{sizes[-1]} channels of {' × '.join(sizes[:-1])}"
    return f"{' × '.join(sizes)} numbers"


def number_words(number: int) -> str:
    """`1 536`, `12.4 M`, `1.85 G`: three digits are enough to compare."""
    for least, size, sign in ((999.5e6, 1e9, "G"), (1e6, 1e6, "M")):
        if number >= least:
            return f"{number / size:.3g} {sign}" if number < 999.5 * size else f"{number / size:.0f} {sign}"
    return f"{number:,}".replace(",", "\u202f")


def sees_words(layer: LayerInfo) -> str:
    """What one cell sees: `each cell sees 11 × 11 pixels of the photo, 2 pixels apart`."""
    if layer.kind == "vector":
        return "each unit sees the whole photo"
    if not layer.is_spatial:
        return ""  # of steps and volumes it is not known
    if layer.receptive_field is None:
        return "each cell sees the whole photo"
    height, width = layer.receptive_field
    pixels = "1 pixel" if (height, width) == (1, 1) else f"{height} × {width} pixels"
    return f"each cell sees {pixels} of the photo{_apart(layer)}"


def _apart(layer: LayerInfo) -> str:
    if layer.stride is None:
        return ""
    down, across = (f"{each:.4g}" for each in layer.stride)
    if down != across:
        return f", {down} and {across} pixels apart"
    return f", {down} {'pixel' if down == '1' else 'pixels'} apart"


def cost_words(thing: LayerInfo | Block) -> str:
    """`1 536 parameters, 19.3 M multiply-adds`."""
    parts = [f"{number_words(thing.parameters)} parameters" if thing.parameters else "no parameters"]
    if thing.multiply_adds:
        parts.append(f"{number_words(thing.multiply_adds)} multiply-adds")
    return ", ".join(parts)


# --- Cutting ---------------------------------------------------------------------------------------------------------


def _one_by_one(layers: Sequence[LayerInfo]) -> tuple[Block, ...]:
    return tuple(Block((layer,)) for layer in layers)


def _fused(layers: Sequence[LayerInfo]) -> tuple[Block, ...]:
    return _begun_by(layers, lambda layer: _begins(layer) or kind(layer) == "merge")


def _joined(layers: Sequence[LayerInfo]) -> tuple[Block, ...]:
    return _begun_by(layers, _begins)


def _begins(layer: LayerInfo) -> bool:
    return kind(layer) in ("convolution", "depthwise", "pooling", "dense", "recurrent", "attention")


def _begun_by(layers: Sequence[LayerInfo], begins: Callable[[LayerInfo], bool]) -> tuple[Block, ...]:
    """Runs of layers that start where `begins` says; padding goes with what it is for, vectors not with maps."""
    runs: list[list[LayerInfo]] = []
    waiting: list[LayerInfo] = []
    for layer in layers:
        if _pads(layer):
            waiting.append(layer)
        elif begins(layer) or not runs or _looks(runs[-1][-1]) != _looks(layer):
            runs.append([*waiting, layer])
            waiting = []
        else:
            runs[-1] += [*waiting, layer]
            waiting = []
    if waiting:
        runs = [*runs[:-1], [*runs[-1], *waiting]] if runs else [waiting]
    return tuple(Block(tuple(run)) for run in runs)


def _pads(layer: LayerInfo) -> bool:
    return layer.type.startswith(("ZeroPadding", "Cropping"))


def _looks(layer: LayerInfo) -> str:
    """How its answer is drawn: what is alike in that may be one block."""
    return "vector" if all(size == 1 for size in layer.output_shape[:-1]) else layer.kind


def _units(layers: Sequence[LayerInfo]) -> tuple[Block, ...]:
    """The architecture's own blocks: what lies between two places where the network is one single way.

    NASNet's cells always have two ways open. Where there are no such places (a U-Net) convolutions are the units.
    """
    for ways in (1, 2, 3):
        found = _segments(layers, ways)
        longest = max(len(segment) for segment in found)
        if len(found) >= min(6, len(layers)) and longest <= max(12, len(layers) / 3):
            return _by_name(found)
    return _joined(layers)


def _segments(layers: Sequence[LayerInfo], ways: int) -> list[tuple[LayerInfo, ...]]:
    """Cut wherever at most `ways` layers are still needed by later ones."""
    last_use = {layer.name: place for place, layer in enumerate(layers)}
    for place, layer in enumerate(layers):
        for name in layer.inputs:
            last_use[name] = place
    last_map = max((place for place, layer in enumerate(layers) if cells(layer)), default=-1)
    found, start = [], 0
    needed: set[str] = set()
    for place, layer in enumerate(layers):
        needed = {name for name in (*needed, layer.name) if last_use[name] > place}
        if len(needed) <= 1 or (len(needed) <= ways and kind(layer) == "merge") or place == last_map:
            found.append(tuple(layers[start : place + 1]))
            start = place + 1
    return [*found, tuple(layers[start:])] if start < len(layers) else found


def _by_name(segments: Sequence[tuple[LayerInfo, ...]]) -> tuple[Block, ...]:
    """Neighbouring segments of one named block together; those without such names as convolutions are."""
    runs: list[tuple[str | None, list[tuple[LayerInfo, ...]]]] = []
    for segment in segments:
        name = next((part for layer in reversed(segment) if (part := _named_block(layer))), None)
        branched = [each for each in ((*runs[-1][1], segment) if runs else ()) if len(each) > 1]
        if runs and runs[-1][0] == name and (name is None or len(branched) <= 1):
            runs[-1][1].append(segment)
        else:
            runs.append((name, [segment]))
    found: list[Block] = []
    for name, run in runs:
        if name is not None:
            found.append(Block(tuple(layer for segment in run for layer in segment)))
        else:
            found += _unnamed(run)
    return tuple(found)


def _unnamed(segments: Sequence[tuple[LayerInfo, ...]]) -> Iterator[Block]:
    for is_branch, run in groupby(segments, key=lambda segment: len(segment) > 1):
        if is_branch:
            yield from (Block(segment) for segment in run)
        else:
            yield from _joined([layer for segment in run for layer in segment])


def _named_block(layer: LayerInfo) -> str | None:
    found = _NAMED_BLOCK.match(layer.name)
    return found[1] if found else None


# --- Joining ---------------------------------------------------------------------------------------------------------


def _levels(units: Sequence[Block]) -> list[int]:
    """How many times the maps have been halved where each unit ends; `_VECTORS` for vectors at the end."""
    sizes = [next((size for layer in reversed(unit.layers) if (size := side(layer))), None) for unit in units]
    largest = max((size for size in sizes if size), default=1.0)
    known = [None if size is None else round(math.log2(largest / size)) for size in sizes]
    last = max((place for place, level in enumerate(known) if level is not None), default=-1)
    levels: list[int] = []
    for place, (unit, level) in enumerate(zip(units, known, strict=True)):
        only_pools = all(kind(layer) == "pooling" or _pads(layer) for layer in unit.layers)
        if place > last:
            levels.append(_VECTORS)
        elif levels and (level is None or only_pools):  # pooling ends a stage
            levels.append(levels[-1])
        else:
            levels.append(level or 0)
    return levels


def _groups(units: Sequence[Block], together: int) -> tuple[Block, ...]:
    """So many neighbouring units of the same map size as one."""
    found = []
    for _, run in groupby(zip(units, _levels(units), strict=True), key=lambda each: each[1]):
        same = [unit for unit, _ in run]
        found += [_together(same[place : place + together]) for place in range(0, len(same), together)]
    return tuple(found)


def _chunks(found: Sequence[Block], most: int) -> tuple[Block, ...]:
    """Neighbours together, evenly, so that there are at most `most`."""
    if len(found) <= most:
        return tuple(found)
    borders = [round(len(found) * place / most) for place in range(most + 1)]
    return tuple(_together(found[low:high]) for low, high in pairwise(borders))


def _together(found: Sequence[Block]) -> Block:
    return Block(tuple(layer for block in found for layer in block.layers))
