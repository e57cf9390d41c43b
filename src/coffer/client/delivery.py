"""What a command is to receive of a shard: which values, under which names, as variables or as files.

Not here: the rest of its environment (``environment``), and putting the files in place (``folder``).

Rule 1: a name that somebody asked for and that is not there is an error; the command never starts with half a shard.
"""

from __future__ import annotations

from coffer.environment import check_name, variables
from coffer.errors import MissingNameError
from coffer.shard import format_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from coffer.shard import Shard

    from .flags import Given


class Delivery:
    """Variables, and files by name. Two are equal if a command could not tell one from the other."""

    __slots__ = ("files", "variables")

    def __init__(self, variables: dict[str, str], files: dict[str, str]) -> None:
        self.variables = variables
        self.files = files

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Delivery) and (self.variables, self.files) == (other.variables, other.files)

    __hash__ = None  # type: ignore[assignment]


def prepare(shard: Shard, given: Given) -> Delivery:
    """Return what the command line wants of the shard. Raises OperatorError, naming the key."""
    texts = select(shard, _together(given.only), _together(given.require))
    if given.files is None:
        return Delivery(variables(texts, given.prefix, given.allow_reserved), {})
    return Delivery(_paths(texts, given.files, given), texts)


def select(shard: Shard, only: list[str], require: list[str]) -> dict[str, str]:
    """Return the text of each value, or of those in ``only``. Raises MissingNameError for what is not there."""
    for name in (*only, *require):
        if name not in shard:
            raise missing(name, shard)
    return {key: format_value(value) for key, value in shard.items() if not only or key in only}


def missing(name: str, shard: Mapping[str, object]) -> MissingNameError:
    """Return the error for a name that is not there; it shows names of the caller's own, which it may know."""
    from coffer.names import near

    return MissingNameError(f"no value named {name!r}", near(name, shard, "values"))


def _together(lists: list[list[str]]) -> list[str]:
    return [name for names in lists for name in names]


def _paths(texts: dict[str, str], folder: str, given: Given) -> dict[str, str]:
    """Return where each file will be, by the name of its variable; no such name can lead out of the folder."""
    import os

    # As the bytes it is on disk: a variable is UTF-8 whatever the locale, and may hold what is none.
    folder = os.fsencode(os.path.abspath(folder)).decode("utf-8", "surrogateescape")
    paths = {}
    for key in texts:
        name = f"{given.prefix}{key}_FILE"
        check_name(name, given.allow_reserved)
        paths[name] = os.path.join(folder, key)
    return paths
