"""The arrows between the rooms: who may import whom."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = {"tensorflow", "keras", "tf_keras", "h5py"}
# What pages may import of `core`; these rooms never reach TensorFlow, not even lazily.
LIGHT = {
    "core",
    "core.architecture",
    "core.archives",
    "core.attribution_choices",
    "core.backbones",
    "core.backbones.answers",
    "core.backbones.catalogue",
    "core.backbones.preprocessing",
    "core.channels",
    "core.dream_choices",
    "core.engine",
    "core.errors",
    "core.explorer_code",
    "core.featurevis",
    "core.featurevis.keras_code",
    "core.gallery",
    "core.images",
    "core.messages",
    "core.opened",
    "core.perturbations",
    "core.plots",
    "core.runs",
    "core.samples",
    "core.serving",
    "core.shared_data",
    "core.statistics",
    "core.storage",
    "core.text_files",
    "core.transfer",
    "core.transfer.attempts",
    "core.transfer.checkpoints",
    "core.transfer.evaluation",
    "core.transfer.forms",
    "core.transfer.history",
    "core.transfer.keras_code",
    "core.transfer.presets",
    "core.transfer.report",
    "core.transfer.requests",
    "core.transfer.settings",
    "core.transfer.verdicts",
    "core.uploads",
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for path in [ROOT / "dashboard.py", *(ROOT / "core").rglob("*.py"), *(ROOT / "pages").rglob("*.py")]
}


def imports_of(name: str) -> set[str]:
    """Every module that `name` imports anywhere in its text, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            found |= {
                full if (full := f"{node.module}.{alias.name}") in MODULES else node.module for alias in node.names
            }
    return found


def tops(name: str) -> set[str]:
    return {each.partition(".")[0] for each in imports_of(name)}


def reached_from(name: str) -> set[str]:
    """All of our modules that `name` leads to, itself included."""
    reached, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current in MODULES and current not in reached:
            reached.add(current)
            waiting.extend(imports_of(current))
    return reached


def test_the_reader_of_imports_reads():
    assert "core.engine" in imports_of("pages.shared.resources")
    assert "core.messages" in reached_from("pages.activation_explorer")
    assert any("tensorflow" in tops(name) for name in MODULES)


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.partition(".")[0] == "core"))
def test_core_knows_neither_streamlit_nor_the_pages(name):
    assert not tops(name) & {"streamlit", "pages", "dashboard"}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if name.partition(".")[0] != "core"))
def test_pages_import_only_light_rooms(name):
    assert not tops(name) & HEAVY
    assert {each for each in imports_of(name) if each.partition(".")[0] == "core"} <= LIGHT


@pytest.mark.parametrize("name", sorted(LIGHT))
def test_light_rooms_never_reach_tensorflow(name):
    assert {reached: tops(reached) & HEAVY for reached in reached_from(name) if tops(reached) & HEAVY} == {}


def test_pages_never_import_each_other():
    pages = {name for name in MODULES if re.fullmatch(r"pages\.\w+", name) and MODULES[name].stem != "__init__"}
    assert pages
    for name in MODULES:
        assert not imports_of(name) & pages, name


def test_pictures_travel_with_their_page():
    # Streamlit's own files are gone from the server before a slow browser has asked for them (404 in the console).
    shown = [name for name, path in MODULES.items() if ".image(" in path.read_text() and name.startswith("pages")]
    assert shown == ["pages.shared.choices"]


def test_the_rooms_of_a_page_are_its_own():
    """`pages.visualizer` is to the Filter Visualizer what `pages.shared` is to all."""
    for room, page in (
        ("pages.visualizer", "pages.filter_visualizer"),
        ("pages.explorer", "pages.activation_explorer"),
        ("pages.trainer", "pages.transfer_trainer"),
    ):
        rooms = {name for name in MODULES if name.startswith(room)}
        assert len(rooms) > 5
        for name in MODULES.keys() - rooms - {page}:
            assert not imports_of(name) & rooms, name


def test_the_grammar_of_rendering_meets_only_in_render():
    parts = {f"core.featurevis.{part}" for part in ("objectives", "parameterisations", "transforms")}
    for part in parts:
        assert not imports_of(part) & (parts - {part})
    assert imports_of("core.featurevis.render") & parts


def test_featurevis_and_transfer_never_meet():
    for name in MODULES:
        if name.startswith("core.featurevis"):
            assert not any(each.startswith("core.transfer") for each in imports_of(name))
        if name.startswith("core.transfer"):
            assert not any(each.startswith("core.featurevis") for each in imports_of(name))
