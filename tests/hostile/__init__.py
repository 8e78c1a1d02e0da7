"""Files that are not what they seem, made here rather than kept: pictures, ZIPs, label lists and checkpoints.

Each is given under a name, and is either read or refused; both are said in words that tell whether it was understood.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """One file. `name` says what is odd about it, `file` is the name under which it is given. It is `read` or refused,
    and what is said then contains `says`, compared without case. What is `dear` takes seconds."""

    name: str
    file: str
    data: bytes = field(repr=False)
    says: str
    read: bool = False
    dear: bool = False
