"""What an environment can take: which names are its own, which are dangerous, and which no shard may set.

Not here: how a value becomes text (``shard``), and starting programs (``client``). It stands below the programs
because the companion warns of the same names that the client refuses.

Rule 1: coffer's own settings never reach a command, so no flag allows those names.
"""

from __future__ import annotations

from .errors import OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

OWN_PREFIX = "COFFER_"

# What makes a shell, the dynamic linker or a language's run-time load and run other code, or look elsewhere.
RESERVED = frozenset(
    ["PATH", "HOME", "SHELL", "USER", "LOGNAME", "IFS", "ENV", "BASH_ENV", "PS4", "NODE_OPTIONS", "JAVA_TOOL_OPTIONS"]
)
RESERVED_PREFIXES = ("LD_", "DYLD_", "PYTHON", "PERL5", "RUBY", "GIT_")


def is_name(text: str) -> bool:
    """Whether it is a name that shells and programs can use: ``[A-Za-z_][A-Za-z0-9_]*``."""
    return text.isascii() and text.isidentifier()


def is_reserved(name: str) -> bool:
    """Whether setting it changes what a command is or does, so that nobody should do so by accident."""
    return name in RESERVED or name.startswith(RESERVED_PREFIXES)


def check_name(name: str, allow_reserved: Collection[str] = ()) -> None:
    """Raise OperatorError unless a shard may set the variable ``name``."""
    if not is_name(name):
        raise OperatorError(
            f"{name!r}: no name for an environment variable",
            "a name has letters, digits and _ only, and does not begin with a digit; --only leaves others out",
        )
    if name.startswith(OWN_PREFIX):
        raise OperatorError(f"{name!r}: {OWN_PREFIX}* is coffer's own, and never reaches a command")
    if is_reserved(name) and name not in allow_reserved:
        raise OperatorError(f"{name!r}: a reserved name, which changes what a command does", f"--allow-reserved {name}")


def variables(texts: Mapping[str, str], prefix: str = "", allow_reserved: Collection[str] = ()) -> dict[str, str]:
    """Return the variables for these texts, their names after ``prefix``. Raises OperatorError, all or nothing."""
    made = {}
    for key, text in texts.items():
        name = prefix + key
        check_name(name, allow_reserved)
        if "\0" in text:
            raise OperatorError(
                f"{key!r}: its value holds a NUL, which no environment variable can",
                "run --only and get NAME leave it out; run --files hands values over as files",
            )
        made[name] = text
    return made
