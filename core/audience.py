"""Who waits for a job: sessions by their ids, and since when each has turned away or gone."""

from __future__ import annotations

from collections.abc import Callable

LEFT = 1.2  # seconds after which a session that is still here has turned away for good: a rerun asks again sooner
GONE = 10.0  # seconds for which a closed tab may be one that is loading again


class Audience:
    """The viewers of one job. `None` is somebody who stays: the command line, a test."""

    def __init__(self) -> None:
        self._away: dict[str, float | None] = {}  # since when; `None`: looking
        self._stays = False

    def join(self, viewer: str | None) -> None:
        if viewer is None:
            self._stays = True
        else:
            self._away[viewer] = None

    def leave(self, viewer: str | None, now: float) -> None:
        """The viewer looks at something else; whoever never came does not leave."""
        if viewer in self._away and self._away[viewer] is None:
            self._away[viewer] = now

    def __contains__(self, viewer: str) -> bool:
        return viewer in self._away

    def looking(self) -> set[str]:
        return {viewer for viewer, since in list(self._away.items()) if since is None}

    def deserted(self, now: float, is_here: Callable[[str], bool], comes_back: Callable[[str], bool]) -> bool:
        """Whether all have gone, or turned away, for long enough. To be asked again and again: that a viewer has gone
        is noticed here.

        `is_here(viewer)` says whether there still is such a session; `comes_back(viewer)` whether one that is here,
        but looks at something else, may want the job all the same.
        """
        if self._stays or not self._away:
            return False
        gone = [self._has_gone(viewer, now, is_here, comes_back) for viewer in list(self._away)]  # all are looked at
        return all(gone)

    def _has_gone(self, viewer: str, now: float, is_here: Callable, comes_back: Callable) -> bool:
        here = is_here(viewer)
        if not here:
            self.leave(viewer, now)
        since = self._away[viewer]
        if since is None or (here and comes_back(viewer)):
            return False
        return now - since >= (LEFT if here else GONE)
