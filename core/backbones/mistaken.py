"""What a file is that is no model of Keras, said so that its owner knows what to do instead."""

from __future__ import annotations

from pathlib import Path

# What other programs call their networks.
SUFFIXES = (".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".onnx", ".tflite", ".safetensors", ".pb")
_HEAD_BYTES = 4096
_SAVE = "save the model in Keras with `model.save('model.keras')` and give that file"


def sentence(path: Path, name: str) -> str:
    """Why the file (or folder) at `path`, which is neither HDF5 nor a `.keras` archive, cannot be opened."""
    if path.is_dir():
        if (path / "saved_model.pb").exists() or (path / "keras_metadata.pb").exists():
            return f"{name} is a SavedModel, which is a program and is never opened here: {_SAVE}."
        return f"{name} is a folder, no model file: {_SAVE}."
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    return f"{name} {_kind(head, path.suffix.lower())}."


def in_archive(names: list[str]) -> str | None:
    """What an archive with these members is, as the end of a sentence, where it is a known kind."""
    if any(name.endswith(("/data.pkl", ".pkl", "/byteorder")) for name in names):
        return f"is a PyTorch file, which only PyTorch can read: build the model in Keras, then {_SAVE}"
    if any(name.rpartition("/")[2] in ("saved_model.pb", "keras_metadata.pb") for name in names):
        return f"is a packed SavedModel, which is a program and is never opened here: {_SAVE}"
    inner = [name for name in names if name.lower().endswith((".keras", ".h5", ".hdf5"))]
    if inner and "model.weights.h5" not in names:
        return "is a ZIP with a model file in it: unpack it and give the file that ends in .keras or .h5"
    return None


def _kind(head: bytes, suffix: str) -> str:
    start = head.lstrip()[:64].lower()
    if head.startswith(b"version https://git-lfs"):
        return (
            "is only a pointer of Git LFS to a file that has not been fetched: run `git lfs pull`, then give it again"
        )
    if head[4:8] == b"TFL3" or suffix == ".tflite":
        return f"is a TensorFlow Lite file, which has no layers to look into: {_SAVE}"
    if suffix == ".onnx" or (head[:1] == b"\x08" and (b"onnx" in head or b"pytorch" in head)):
        return f"is an ONNX file, which Keras cannot read: {_SAVE}"
    if suffix in (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle") or head[:2] in (b"\x80\x02", b"\x80\x04"):
        return f"is a PyTorch or pickle file, which may run code and is never opened here: {_SAVE}"
    if suffix == ".safetensors" or head[8:10] == b'{"':
        return f"is a file of weights without a model (safetensors): {_SAVE}"
    if suffix in (".pb", ".pbtxt", ".meta", ".index") or "data-0000" in suffix:
        return f"is a part of a SavedModel or a checkpoint of TensorFlow, which is never opened here: {_SAVE}"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "is a page of the web, not the model: download the file itself"
    if start.startswith(b"{"):
        return f"is a text that describes a model, without its weights: {_SAVE}"
    if head.startswith((b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!", b"BZh", b"\xfd7zXZ")):
        return "is packed: unpack it and give the file that ends in .keras or .h5"
    return f"is no model file, or it is damaged: {_SAVE}"
