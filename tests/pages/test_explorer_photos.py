"""The Explorer's panels about what a channel looks for and which photos excite it, without a browser."""

from __future__ import annotations

import io
import json
import time
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from core import plots, samples
from core.engine import EngineError
from core.messages import Exciting, ExcitingRequest, ModelRef, Mosaic, Region, RenderRequest
from pages.explorer import pattern_panel, photos_panel
from pages.shared import drawings

LAYER = "block5_project_bn"
NETWORK = ModelRef("efficientnet_lite0")


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def photo(seed: int) -> bytes:
    return png(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), np.uint8))


def zip_of(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def a_page_with_one_panel() -> None:
    import streamlit as st

    from pages.explorer import pattern_panel, photos_panel
    from pages.explorer.common import PAGE, Scene, activations
    from pages.shared.controls import choose_model, choose_photo

    info = choose_model(PAGE)
    photo, caption = choose_photo(PAGE)
    (layer,) = (each for each in info.layers if each.name == st.session_state["test.layer"])
    scene = Scene(info, photo, caption, (), layer)
    panel = {"photos": photos_panel, "pattern": pattern_panel}[st.session_state["test.panel"]]
    panel.show(scene, st.session_state["test.channel"], activations(scene))
    if "test.ranking" in st.session_state:  # the test bench has no clicks on figures
        st.button("click", key="click", on_click=photos_panel.take_the_clicked, args=st.session_state["test.ranking"])


class Panel:
    """One panel on a page of its own, run until nothing is under way any more."""

    def __init__(self, engine, panel: str, layer: str = LAYER, channel: int = 5, **query):
        self.engine, self.at = engine, AppTest.from_function(a_page_with_one_panel, default_timeout=120)
        self.at.session_state["test.panel"] = panel
        self.at.session_state["test.layer"] = layer
        self.at.session_state["test.channel"] = channel
        for name, value in query.items():
            self.at.query_params[name] = str(value)
        self.run()

    def run(self) -> Panel:
        self.at.run()
        deadline = time.monotonic() + 180
        while any(not job.snapshot().over for job in self.engine.jobs()):
            assert time.monotonic() < deadline, "a job does not end"
            time.sleep(0.1)
        self.at.run()
        assert not self.at.exception, self.at.exception
        return self

    def words(self) -> str:
        kinds = ("subheader", "markdown", "caption", "info", "warning", "error")
        return "\n".join(str(element.value) for kind in kinds for element in self.at.get(kind))

    def figure(self, key: str) -> dict:
        (found,) = (each for each in self.at.get("plotly_chart") if each.key == key)
        return json.loads(found.proto.spec)

    def names(self) -> list[str]:
        """The photos on show, the strongest first."""
        return [words for _, words, _ in self.figure("exciting")["data"][0]["customdata"]]

    def pictures(self) -> int:
        return len(self.at.get("image"))


@pytest.fixture
def panel(engine):
    return lambda name, *where, **query: Panel(engine, name, *where, **query)


# --- Photos ----------------------------------------------------------------------------------------------------------


def test_the_samples_are_ranked_at_once_and_the_photo_is_compared(panel, engine):
    page = panel("photos")
    ranking = engine.find("core.exciting:rank", ExcitingRequest(NETWORK, LAYER)).result()
    captions = {sample.name: sample.caption for sample in samples.PHOTOGRAPHS}
    best = [captions[ranking.names[i]] for i in np.argsort(-ranking.peaks[:, 5], kind="stable")[:6]]
    assert page.names() == best
    own = ranking.peaks[ranking.names.index("cat"), 5]
    above = int((ranking.peaks[:, 5] > own * 1.001).sum())
    sentence = {0: "None of these excites it more.", 1: "One of these"}.get(above, f"{above} of these excite it more.")
    assert f"**{own:.3g}**" in page.words() and sentence in page.words()
    assert f"{len(captions)} photos looked at" in page.words()


def test_another_channel_needs_no_new_pass(panel, engine):
    page = panel("photos")
    first, jobs = page.names(), len(engine.jobs())
    page.at.session_state["test.channel"] = 31
    page.run()
    assert page.names() != first
    assert len(engine.jobs()) == jobs


def test_vectors_have_favourites_too(panel):
    page = panel("photos", "predictions", 967)
    assert page.names()[0] == "A cup of espresso"
    assert len(page.figure("exciting")["layout"]["shapes"]) == 6  # the bars, and no frames


def test_a_clicked_sample_becomes_the_photo_of_the_page(panel, engine):
    page = panel("photos")
    ranking = engine.find("core.exciting:rank", ExcitingRequest(NETWORK, LAYER)).result()
    page.at.session_state["test.ranking"] = (ranking, "samples")
    page.run()
    page.at.session_state["exciting"] = clicked(ranking.names.index("rocket"))
    page.at.button(key="click").click()
    page.run()
    assert page.at.selectbox(key="explorer.photo").value == "rocket"


def clicked(*places: int) -> SimpleNamespace:
    return SimpleNamespace(selection=SimpleNamespace(points=[{"customdata": [place, "", ""]} for place in places]))


def test_my_photos_are_packed_ranked_and_one_of_them_taken(panel, engine):
    page = panel("photos", photos="files")
    assert "shown to the network once" in page.words()
    files = [(f"{i}.png", photo(i), "image/png") for i in range(3)] + [("broken.jpg", b"\xff\xd8\xff no", "image/jpeg")]
    page.at.file_uploader(key="explorer.exciting_files").set_value(files)
    page.run()
    assert sorted(page.names()) == ["0.png", "1.png", "2.png"]
    assert "3 photos looked at" in page.words()
    assert [each.label for each in page.at.expander] == ["1 left out"]
    kept = page.at.session_state["explorer.kept_files"]
    ranking = engine.find("core.exciting:rank", ExcitingRequest(NETWORK, LAYER, kept.path)).result()
    page.at.session_state["test.ranking"] = (ranking, kept.path)
    page.run()
    page.at.session_state["exciting"] = clicked(ranking.names.index("2.png"))
    page.at.button(key="click").click()
    page.run()
    assert page.at.session_state["explorer.source"] == "upload"
    own, name = page.at.session_state["explorer.own_photo"]
    assert name == "2.png" and own.pixels.shape == (40, 60, 3)
    peak = ranking.peaks[ranking.names.index("2.png"), 5]
    assert f"This photo: **{peak:.3g}**" in page.words()
    page.at.file_uploader(key="explorer.exciting_files").clear()
    page.run()
    assert "shown to the network once" in page.words()


def test_a_zip_is_kept_as_it_is_and_a_bad_one_refused_in_one_sentence(panel):
    page = panel("photos", photos="files")
    page.at.file_uploader(key="explorer.exciting_files").set_value(
        [("mine.zip", zip_of({"<b>a</b>.png": photo(7), "![x](https:evil).png": photo(8)}), "application/zip")]
    )
    page.run()
    assert "b&gt;.png" in page.names() and "2 photos looked at" in page.words()
    page.at.file_uploader(key="explorer.exciting_files").set_value([("bad.zip", b"PK\x03\x04 no", "application/zip")])
    page.run()
    assert len(page.at.error) == 1
    page.at.button(key="look_again").click()
    page.run()
    assert len(page.at.error) == 1


def test_a_folder_is_asked_for_as_a_folder(panel):
    page = panel("photos", photos="folder")
    uploader = page.at.file_uploader(key="explorer.exciting_folder")
    assert uploader.accept_directory
    uploader.set_value([("holiday/1.png", photo(1), "image/png"), ("holiday/sub/2.png", photo(2), "image/png")])
    page.run()
    assert sorted(page.names()) == ["1.png", "2.png"]


def test_the_source_is_chosen_and_in_the_link(panel):
    page = panel("photos")
    page.at.button_group(key="explorer.photos").set_value("folder")
    page.run()
    assert page.at.query_params["photos"] == "folder"
    page.at.button_group(key="explorer.photos").set_value("samples")
    page.run()
    assert "photos" not in page.at.query_params and page.names()


def test_too_many_megabytes_are_refused_before_they_are_packed(panel, monkeypatch):
    monkeypatch.setattr(photos_panel, "MOST_BYTES", 1000)
    page = panel("photos", photos="files")
    page.at.file_uploader(key="explorer.exciting_files").set_value([("a.png", photo(1), "image/png")])
    page.run()
    assert "at most" in page.at.error[0].value


def test_equal_photos_make_an_equal_zip_and_no_name_is_there_twice():
    def file(name: str, data: bytes):
        return SimpleNamespace(name=name, size=len(data), getvalue=lambda: data)

    one, other = file("a.png", b"1"), file("sub/b.png", b"2")
    assert photos_panel.pack([one, other]) == photos_panel.pack([other, one])
    with zipfile.ZipFile(io.BytesIO(photos_panel.pack([one, one, file("..\\x\0.png", b"3")]))) as archive:
        names = archive.namelist()
        assert len(set(names)) == 3 and {"a.png", "a (2).png"} <= set(names)
        assert all(member.compress_type == zipfile.ZIP_STORED for member in archive.infolist())


def ranking_of(peaks: list[float], places=None, map_size: tuple[int, int] = (4, 4)) -> Exciting:
    count = len(peaks)
    places = np.zeros((count, 1, 2), np.int16) if places is None else np.array(places, np.int16)[:, None]
    pixels = np.float32(peaks)[:, None]
    names = tuple(f"{i}.png" for i in range(count))
    return Exciting("layer", names, (photo(0),) * count, pixels, places, map_size, (), count, count)


def test_tiles_come_strongest_first_with_their_places():
    tiles = plots.exciting_tiles(ranking_of([1, 3, 3, -2], [(0, 0), (3, 0), (1, 2), (2, 2)]), 0, most=3)
    assert [(tile.index, tile.value) for tile in tiles] == [(1, 3), (2, 3), (0, 1)]
    assert tiles[0].mark == (0, 0.75, 0.25, 1)
    assert tiles[1].mark == (0.5, 0.25, 0.75, 0.5)
    vector = plots.exciting_tiles(ranking_of([1, 2], map_size=(1, 1)), 0)
    assert [tile.mark for tile in vector] == [None, None]


def test_a_cell_of_a_large_map_is_marked_so_that_one_sees_it():
    (tile,) = plots.exciting_tiles(ranking_of([1], [(56, 0)], (112, 112)), 0)
    left, top, right, bottom = tile.mark
    assert (left, right) == (0, pytest.approx(0.5 / 112 + 0.06))
    assert bottom - top == pytest.approx(0.12) and (top + bottom) / 2 == pytest.approx(56.5 / 112)


def test_bars_are_as_long_as_the_values_and_none_is_negative():
    found = ranking_of([4, 2, -1], map_size=(1, 1))
    figure = plots.exciting_photos(plots.exciting_tiles(found, 0), found, {"0.png": "<b>The first</b>"})
    lengths = [shape.x1 - shape.x0 for shape in figure.layout.shapes]
    assert lengths[1] == pytest.approx(lengths[0] / 2) and lengths[2] == 0
    assert len(figure.layout.images) == 3
    assert "&lt;b&gt;The" in figure.layout.annotations[1].text
    assert len(figure.to_json()) < 200_000


@pytest.mark.parametrize(
    ("own", "words"), [(5.0, "None of these"), (3.0, "One of these"), (2.9999999, "One of these"), (0.5, "3 of these")]
)
def test_this_photo_among_the_others(own, words):
    assert words in photos_panel.compare(np.float32([[0, own]]), np.float32([1, 3, 4]))


def test_a_channel_that_none_of_the_photos_excites_is_said_so(panel, monkeypatch):
    monkeypatch.setattr(photos_panel, "ask", lambda *_, **__: ranking_of([0, 0]))
    page = panel("photos", LAYER, 0)
    assert "answers to none of these photos" in page.words()


# --- Pattern ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch):
    """Patterns of a few steps: what is drawn is tested elsewhere."""

    def make(steps: int = 2):
        own = pattern_panel.tile_request

        def few_steps(scene, channel):
            return RenderRequest(**{**vars(own(scene, channel)), "size": 64, "steps": steps})

        monkeypatch.setattr(pattern_panel, "tile_request", few_steps)

    return make


def test_the_pattern_is_drawn_by_itself_where_nobody_waits(panel, quick, engine):
    quick(2)
    page = panel("pattern")
    assert "What it looks for" in page.words() and "What fires it here" in page.words()
    assert page.pictures() == 3  # with the photo in the sidebar
    assert "The frame is" in page.words()
    mosaic = [job for job in engine.jobs() if isinstance(job.snapshot().result, Mosaic)][-1].result()
    assert mosaic.filters == (5,) and mosaic.steps == 2
    assert any("trust" in each.value for each in page.at.markdown)


def test_where_somebody_waits_a_button_draws_it(panel, quick, monkeypatch):
    quick(3)
    monkeypatch.setattr(drawings, "nobody_waits", lambda: False)
    page = panel("pattern")
    assert "not drawn yet" in page.words() and page.pictures() == 2
    page.at.button(key="draw_pattern").click()
    page.run()
    assert "not drawn yet" not in page.words() and page.pictures() == 3


def test_the_tile_of_the_visualizers_mosaic_is_taken(panel, monkeypatch, engine):
    asked = []
    monkeypatch.setattr(pattern_panel.drawings, "start", asked.append)
    page_request = pattern_panel.page_request

    def small(info, layer, channel):
        return RenderRequest(**{**vars(page_request(info, layer, channel)), "size": 64, "steps": 1})

    monkeypatch.setattr(pattern_panel, "page_request", small)
    request = RenderRequest(NETWORK, LAYER, tuple(range(64, 80)), "lucid", 64, 1)
    engine.submit("core.featurevis.mosaic:run", request, kind="render").result()
    page = panel("pattern", LAYER, 70)
    assert page.pictures() == 3 and "not drawn yet" not in page.words()
    assert asked == []


def test_it_asks_for_what_the_visualizer_draws_by_itself(app, monkeypatch, engine):
    asked = []

    def start(request):
        asked.append(request)
        return engine.submit("core.featurevis.mosaic:run", small, kind="render")

    small = RenderRequest(NETWORK, LAYER, tuple(range(64, 80)), "lucid", 64, 1)
    monkeypatch.setattr(drawings, "start", start)
    app("filter_visualizer", layer=LAYER, first=64)
    info = engine.submit("core.backbones.loading:describe", NETWORK, kind="interactive").result()
    (layer,) = (each for each in info.layers if each.name == LAYER)
    assert repr(asked[0]) == repr(pattern_panel.page_request(info, layer, 70))


def test_a_class_is_drawn_before_its_softmax(panel, quick, engine):
    quick(2)
    page = panel("pattern", "predictions", 967)
    assert "A unit looks at the whole photo" in page.words() and page.pictures() == 3
    job = [job for job in engine.jobs() if isinstance(job.snapshot().result, Mosaic)][-1]
    assert job.result().filters == (967,)
    request = pattern_panel.tile_request(
        SimpleNamespace(
            model=NETWORK,
            info=engine.submit("core.backbones.loading:describe", NETWORK, kind="interactive").result(),
            layer=SimpleNamespace(name="predictions"),
        ),
        967,
    )
    assert request.objective == "class"


def test_a_stopped_pattern_does_not_begin_again_by_itself(quick, engine):
    quick(400)
    at = AppTest.from_function(a_page_with_one_panel, default_timeout=120)
    for name, value in {"panel": "pattern", "layer": LAYER, "channel": 9}.items():
        at.session_state[f"test.{name}"] = value
    at.run()
    (job,) = (each for each in engine.jobs() if each.kind == "render" and not each.snapshot().over)
    job.cancel()
    with pytest.raises(EngineError):
        job.result()
    at.run()
    assert not any(not each.snapshot().over for each in engine.jobs())
    assert "Stopped" in at.info[0].value
    assert at.button(key="draw_pattern")


def test_what_it_sees_is_shown_large_enough_and_inside_the_photo():
    values = np.zeros((10, 10), np.float32)
    values[9, 2] = 3
    cell = plots.strongest_cell(values)
    assert cell == (9, 2)
    fired = plots.where_it_fires(values, cell, (100, 100), Region(92, 22, 101, 28))
    assert fired.value == 3 and fired.frames_all
    assert fired.frame == Region(92, 22, 100, 28)
    assert fired.piece == Region(52, 1, 100, 49)
    fired = plots.where_it_fires(values, cell, (100, 100), Region(40, -20, 140, 80))
    assert fired.piece == Region(0, 0, 100, 100)
    assert fired.frame == Region(90, 20, 100, 30) and not fired.frames_all
    assert plots.where_it_fires(values, cell, (100, 100), None).piece == Region(0, 0, 100, 100)
    picture = plots.piece_of_photo(np.zeros((100, 100, 3), np.uint8), fired)
    assert picture.shape == (400, 400, 3)
    assert not picture[:340].any() and picture[370:, 90:110].any()


def test_nothing_finite_fires_nowhere():
    assert plots.strongest_cell(np.full((3, 3), np.nan, np.float32)) is None
    assert plots.strongest_cell(np.float32([[np.nan, 1], [2, np.inf]])) == (1, 0)
