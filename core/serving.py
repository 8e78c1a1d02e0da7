"""For whom the app is served: for its own machine alone, or for a class."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

ALLOW_MODELS = "--allow-models"
VARIABLE = "LAYERSCOPE_ALLOW_MODELS"


def models_allowed(address: str | None, arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Whether people may open their own model files in the app that listens at `address` (Streamlit's
    `server.address`; `None` or "" means every address of the machine).

    On one's own machine they may. Where others can reach the app, its teacher must have said so: with `--allow-models`
    among the `arguments` (`streamlit run dashboard.py -- --allow-models`) or with LAYERSCOPE_ALLOW_MODELS=1.
    """
    said = environment.get(VARIABLE, "").strip().lower()
    return ALLOW_MODELS in arguments or said in ("1", "true", "yes", "on") or is_own_machine(address)


def is_own_machine(address: str | None) -> bool:
    """Whether only programs on the same machine can reach a server at `address`."""
    name = (address or "").strip().strip("[]").lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
