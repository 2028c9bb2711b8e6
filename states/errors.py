"""The one exception of this package."""

from __future__ import annotations

from collections.abc import Iterable


class CoreError(Exception):
    """A bug of ours, or an event that cannot have happened; ends with the last lines of the story it belongs to.

    The core that raised it is not to be trusted any more.
    """

    def __init__(self, message: str, story: Iterable[str] = ()) -> None:
        super().__init__("\n  ".join((message, *story)))
