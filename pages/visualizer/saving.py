"""What can be taken home. Files are made when they are asked for."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core import images, plots
from core.errors import UserError
from core.featurevis import keras_code
from core.messages import Frame, ModelInfo, Mosaic, RenderRequest
from pages.shared.choices import offer
from pages.shared.tiles import pixels_of, tile_pixels
from pages.shared.words import in_markdown


def offer_mosaic(mosaic: Mosaic, request: RenderRequest, info: ModelInfo) -> None:
    """The mosaic under the textbook's name, its tiles, and the code; also of one that was stopped."""
    with st.container(horizontal=True, gap="small"):
        offer(
            "Save the mosaic",
            mosaic.png or (lambda: images.encode_png(pixels_of(mosaic.picture))),
            mosaic.file_name,
            "image/png",
            "save_mosaic",
            "All tiles as one PNG picture.",
        )
        offer(
            "All tiles (ZIP)",
            lambda: zip_of_tiles(mosaic),
            mosaic.file_name.replace(".png", ".zip"),
            "application/zip",
            "save_tiles",
            "One PNG picture for each filter, named by its number.",
        )
        offer(
            "Keras code",
            # The number of steps goes with the layer's depth, which is known where it was drawn.
            lambda: code_of(replace(request, steps=mosaic.steps), info),
            mosaic.file_name.replace(".png", ".py"),
            "text/x-python",
            "save_code",
            "A Python program that draws this mosaic with TensorFlow and Keras, without Layerscope.",
        )
    count = len(mosaic.filters)
    st.caption(
        f"{count} filter{'s' * (count > 1)} in {mosaic.seconds:.0f} s, first picture after "
        f"{mosaic.seconds_to_first_picture:.1f} s · {mosaic.precision}, {mosaic.batch} at a time · "
        f"{in_markdown(mosaic.origin)}"
    )


def code_of(request: RenderRequest, info: ModelInfo) -> bytes:
    """The program, or the sentence that says why there is none."""
    try:
        return keras_code.mosaic_code(request, info if info.ref == request.model else None).encode()
    except UserError as error:
        return f"# {error}\n".encode()


def offer_animation(frames: Sequence[Frame], stem: str) -> None:
    def animation(kind: str) -> bytes:
        return images.encode_animation([pixels_of(frame.picture) for frame in frames], kind)

    for kind, words in (("webp", "Animation (WebP)"), ("gif", "Animation (GIF)")):
        offer(
            words,
            lambda kind=kind: animation(kind),
            f"{stem}.{kind}",
            f"image/{kind}",
            f"save_{kind}",
            "All steps, one after the other. WebP is smaller; GIF opens everywhere.",
        )


def zip_of_tiles(mosaic: Mosaic) -> bytes:
    """Each tile as a PNG of its own, named by its filter."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for tile in plots.mosaic_tiles(mosaic):
            archive.writestr(
                f"filter_{tile.filter:04}.png", images.encode_png(tile_pixels(mosaic, tile, enlarged=False))
            )
    return file.getvalue()
