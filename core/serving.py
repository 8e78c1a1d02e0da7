"""For whom the app is served: for its own machine alone, or for a class."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

ALLOW_MODELS = "--allow-models"
VARIABLE = "LAYERSCOPE_ALLOW_MODELS"
CLASS = "LAYERSCOPE_CLASS"  # behind a proxy the address alone does not tell


def is_for_class(address: str | None, environment: Mapping[str, str]) -> bool:
    """Whether others than the person at this machine can come to the app that listens at `address` (Streamlit's
    `server.address`; `None` or "" means every address of the machine), or were said to come, by LAYERSCOPE_CLASS=1."""
    return _said(environment, CLASS) or not is_own_machine(address)


def models_allowed(address: str | None, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether people may open their own model files in the app that listens at `address`.

    On one's own machine they may. Where others can reach the app, its teacher must have said so: with `--allow-models`
    among the `arguments` (`streamlit run dashboard.py -- --allow-models`) or with LAYERSCOPE_ALLOW_MODELS=1.
    """
    return ALLOW_MODELS in arguments or _said(environment, VARIABLE) or not is_for_class(address, environment)


def is_own_machine(address: str | None) -> bool:
    """Whether only programs on the same machine can reach a server at `address`."""
    name = (address or "").strip().strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _said(environment: Mapping[str, str], variable: str) -> bool:
    return environment.get(variable, "").strip().lower() in ("1", "true", "yes", "on")
