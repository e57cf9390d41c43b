"""Advice on a definition that is allowed: what works as written, and will surprise somebody.

Not here: what a definition must not say, which refuses it (``definition``), and the modes of files, which only
programs see.

Rule 1: a finding names table and key, and never holds a value.
Rule 2: every finding carries the name of its rule, so that an operator can allow it by name.
"""

from __future__ import annotations

import re

from coffer.definition import CLIENTS
from coffer.environment import OWN_PREFIX, is_name, is_reserved
from coffer.errors import Finding
from coffer.message import SHARD_LIMIT_BYTES
from coffer.places import place
from coffer.toml import format_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from coffer.definition import Client, Definition
    from coffer.shard import Value

# The rules, by the names under which they are allowed, and what each is about.
RULES = {
    "blanks": "a value that begins or ends with a blank or a line end",
    "case": "two keys of one client that differ in case only",
    "near-limit": "a shard near the size limit",
    "no-clients": "a definition without clients",
    "no-values": "a client without values",
    "not-for-environment": "a key or value that no environment variable can have",
    "open-file": "a key file, or a definition in clear, that others can read",
    "placeholder": "a value that looks like one still to be filled in",
    "reserved-name": "a key that would change what a command does, so that coffer-client run refuses it",
    "shared-value": "one value that two clients have",
}

NEAR_LIMIT_BYTES = SHARD_LIMIT_BYTES * 8 // 10
# Shorter texts are mostly words like "info" or "eu-west", which clients share for good reason.
SHARED_MINIMUM_LETTERS = 8

_is_filler_word = re.compile(
    r"(?:change|replace|fill|insert)(?:me|this|it|in)|todo|tbd|fixme|placeholder|dummy"
    r"|(?:my|your|insert)?(?:password|passphrase|secret|token|apikey|key)"
).fullmatch
_SHARED_HINT = "give each client its own, so that what leaks from one opens nothing of the other"
_is_template = re.compile(r"<[^<>]*>|\$\{[^{}]*\}|\{\{[^{}]*\}\}|%[A-Z_]+%|(?i:x{3,}|\*{3,}|\.{3,})").fullmatch
_is_instruction = re.compile(r"(?i:your|insert|enter|put)\b.*(?i:here)").fullmatch


class Advice(Finding):
    """A finding that refuses nothing. ``rule`` is its name in RULES."""

    __slots__ = ("rule",)

    def __init__(self, rule: str, file: str, reason: str, *, table: str | None = None, key: str | None = None,
                 hint: str | None = None) -> None:  # fmt: skip
        super().__init__(file, reason, table=table, key=key, hint=hint)
        self.rule = rule


def format_lines(finding: Finding) -> Iterator[str]:
    """Yield ``FILE:LINE:COLUMN: warning: [table] key: reason (rule)``, as compilers write theirs, and the hint below.

    A finding that refuses is an ``error``, and has no rule.
    """
    place = finding.file if finding.line is None else f"{finding.file}:{finding.line}:{finding.column}"
    kind, rule = ("warning", f" ({finding.rule})") if isinstance(finding, Advice) else ("error", "")
    about = finding.reason
    if finding.table is not None or finding.key is not None:
        about = str(finding).removeprefix(f"{finding.file}: ")
    yield f"{place}: {kind}: {about}{rule}"
    if finding.hint:
        yield f"  hint: {finding.hint}"


def lint(definition: Definition, text: str, source: str) -> list[Advice]:
    """Return advice on a definition, made of ``text``, in the order of the file ``source``."""
    found = [advice for client in definition.clients.values() for advice in _client(client, source)]
    if not definition.clients:
        hint = 'under [clients] a line NAME = "ID" for each'
        found.append(Advice("no-clients", source, "a definition without clients", table=CLIENTS, hint=hint))
    found += _shared_values(definition, source)
    return place(found, text)


def _client(client: Client, source: str) -> Iterator[Advice]:
    shard = client.shard
    if not shard:
        yield Advice("no-values", source, "a client without values", table=CLIENTS, key=client.name)
    size = len(client.encoded)
    if size > NEAR_LIMIT_BYTES:
        reason = f"{size:,} of at most {SHARD_LIMIT_BYTES:,} bytes"
        yield Advice("near-limit", source, reason, table=client.name, hint="keep large things elsewhere")
    folded: dict[str, str] = {}
    for key, value in shard.items():
        for rule, reason, hint in (*_about_name(key, folded), *_about_value(value)):
            yield Advice(rule, source, reason, table=client.name, key=key, hint=hint)


def _about_name(key: str, folded: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    other = folded.setdefault(key.casefold(), key)
    if other != key:
        yield "case", f"differs from {format_key(other)} in case only", "give them names that nobody mixes up"
    if not is_name(key):
        yield (
            "not-for-environment",
            "no name for an environment variable, so that coffer-client run refuses it",
            "use letters, digits and _, and no digit first",
        )
    elif key.startswith(OWN_PREFIX):
        yield "reserved-name", f"{OWN_PREFIX}* is coffer's own, and never reaches a command", "choose another name"
    elif is_reserved(key):
        hint = f"choose another name, or allow it where it is used: coffer-client run --allow-reserved {key}"
        yield "reserved-name", "a name that changes what a command does, so that coffer-client run refuses it", hint


def _about_value(value: Value) -> Iterator[tuple[str, str, str]]:
    if not isinstance(value, str):
        return
    if "\0" in value:
        yield (
            "not-for-environment",
            "a value with a NUL, which no environment variable can hold",
            "encode it, as base64 perhaps, or let the program use coffer-client get",
        )
    blank = _blank(value)
    if blank:
        yield "blanks", f"a value that {blank}", "take it away, or allow it"
    if _is_filler(value):
        yield "placeholder", "a value that looks like one still to be filled in", "coffer-companion set --generate 32"


def _blank(value: str) -> str | None:
    """Say where a value has a blank that nobody sees. The last of several lines may end as the others do."""
    if value[:1].isspace():
        return "begins with a blank"
    body = value.removesuffix("\n")
    if body[-1:].isspace():
        return "ends with a blank"
    return "ends with a line end" if body != value and "\n" not in body else None


def _is_filler(value: str) -> bool:
    word = re.sub(r"[\W_]+", "", value).lower()
    return bool(_is_filler_word(word) or _is_template(value) or _is_instruction(value))


def _shared_values(definition: Definition, source: str) -> Iterator[Advice]:
    owners: dict[str, tuple[str, str]] = {}
    for client in definition.clients.values():
        for key, value in client.shard.items():
            if isinstance(value, str) and len(value) >= SHARED_MINIMUM_LETTERS:
                name, other = owners.setdefault(value, (client.name, key))
                if name != client.name:
                    reason = f"the same value as [{name}] {format_key(other)}"
                    yield Advice("shared-value", source, reason, table=client.name, key=key, hint=_SHARED_HINT)
