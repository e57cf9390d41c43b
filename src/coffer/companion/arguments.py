"""The verbs of coffer-companion: what each takes on the command line, and its help."""

from __future__ import annotations

import re

from coffer import program
from coffer.definition import LIMIT_BYTES
from coffer.lint import RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, _SubParsersAction
    from typing import TypeAlias

    Verbs: TypeAlias = _SubParsersAction[program.Parser]

GENERATED_MINIMUM = 8
GENERATED_MAXIMUM = 1024
FORMATS = ("text", "json")


def add_keys(verbs: Verbs) -> None:
    """Add the verbs that make keys."""
    verb = _add(verbs, "keygen", "keys:keygen", "make a key file; print its id")
    verb.add_argument("-o", "--output", dest="file", metavar="FILE", required=True, help="the key file to make")
    verb.add_argument("--passphrase", action="store_true", help="lock the key with a passphrase, asked for here")
    _add_passphrase_file(verb)

    verb = _add(verbs, "id", "keys:show_id", "print the id of a key file")
    verb.add_argument("file", metavar="FILE", help="a key file")
    _add_passphrase_file(verb)

    verb = _add(verbs, "init", "init:init", "make a folder to begin in: a definition, keys, and what to do next")
    verb.add_argument("directory", metavar="FOLDER", help="a new folder, or one without keys and definition")
    verb.add_argument("--server", metavar="ID", help="the server's id (without it, its key is made here)")
    verb.add_argument(
        "--client",
        metavar="NAME[=ID]",
        action="append",
        help="a client and its id (without the id, its key is made here); may be repeated (default: web)",
    )


def add_sealing(verbs: Verbs) -> None:
    """Add the verbs for a definition as a whole."""
    verb = _add(verbs, "seal", "seal:seal", "check a definition and seal it for a server")
    verb.add_argument("definition", metavar="DEFINITION", help="the definition, TOML; - reads stdin")
    verb.add_argument("-o", "--output", metavar="FILE", required=True, help="the sealed file to make or replace")
    verb.add_argument("--server", metavar="ID", help="the server's id (default: that of the FILE replaced)")
    verb.add_argument("--new", action="store_true", help="replace a sealed FILE that this key does not open")
    _add_key(verb)

    verb = _add(verbs, "open", "seal:open_sealed", "print the definition in a sealed file")
    verb.add_argument("file", metavar="FILE", help="a sealed file; - reads stdin")
    verb.add_argument(
        "-o", "--output", metavar="NEW-FILE", help="write it to a new file that only you can read (default: stdout)"
    )
    verb.add_argument(
        "--companion", metavar="ID", help="open with the server's --key what this companion sealed: the way back"
    )
    _add_key(verb)

    verb = _add(verbs, "edit", "edit:edit", "edit a sealed definition in $VISUAL or $EDITOR, and seal it again")
    _add_sealed_file(verb)
    verb.add_argument("--allow-disk", action="store_true", help="edit on disk where there is no folder in memory")

    verb = _add(verbs, "check", "check:check", "say everything that is wrong with a definition")
    _add_file_to_read(verb)
    verb.add_argument(
        "--server", metavar="ID", help="the server's id: no client may have it, and a sealed FILE must be for it"
    )
    verb.add_argument("--format", choices=FORMATS, default="text", help="how to print what is found")
    verb.add_argument("--strict", action="store_true", help="exit with 3 for warnings too")
    verb.add_argument(
        "--allow", metavar="RULE", choices=RULES, action="append", default=[], help="be silent on this rule (below)"
    )
    verb.epilog = "rules that only warn:\n" + "".join(f"  {rule:21}{about}\n" for rule, about in RULES.items())
    _add_key(verb)


def add_values(verbs: Verbs) -> None:
    """Add the verbs for single values."""
    verb = _add(verbs, "get", "values:get_value", "print one value")
    _add_file_to_read(verb)
    verb.add_argument("name", metavar="CLIENT.KEY", help="whose value, and which")
    _add_key(verb)

    verb = _add(verbs, "set", "values:set_values", "give a value, typed unseen, to one name or to several")
    _add_sealed_file(verb)
    _add_names(verb)
    way = verb.add_mutually_exclusive_group()
    way.add_argument("--stdin", action="store_true", help="read the value from stdin")
    way.add_argument("--value-file", metavar="FILE", help="read the value from a file")
    way.add_argument(
        "--generate", metavar="N", type=program.readable(_length), help="make a value of N random letters and digits"
    )
    verb.add_argument("--toml", action="store_true", help="the value is TOML (3, true, 2027-01-31), not a string")
    verb.add_argument("--allow-empty", action="store_true", help="take an empty value (a pipe that broke leaves one)")
    verb.epilog = "A value of one line is taken without its line end; one of several lines, byte for byte.\n"

    verb = _add(verbs, "unset", "values:unset_values", "take values away")
    _add_sealed_file(verb)
    _add_names(verb)

    verb = _add(verbs, "import", "importing:import_values", "give a client the values in a file of another program")
    _add_sealed_file(verb)
    verb.add_argument("source", metavar="SOURCE", help="the file to take them from; - reads stdin")
    verb.add_argument("--client", metavar="NAME", required=True, help="whose values they become")
    verb.add_argument(
        "--from",
        dest="format",
        choices=("dotenv", "json", "yaml", "toml"),
        help="what SOURCE is (default: by its name)",
    )
    verb.add_argument("--overwrite", action="store_true", help="replace values that differ")


def add_clients(verbs: Verbs) -> None:
    """Add the verbs for clients."""
    client = _add_group(verbs, "client", "add, list or remove clients")

    verb = _add(client, "add", "clients:add", "add a client")
    _add_sealed_file(verb)
    verb.add_argument("name", metavar="NAME", help="its name: up to 64 of A-Z, a-z, 0-9, _ and -")
    verb.add_argument("--id", metavar="ID", help="its id (without it, its key is made here, beside FILE)")

    verb = _add(client, "list", "clients:list_clients", "print clients, their ids, values and size")
    _add_file_to_read(verb)
    verb.add_argument("--format", choices=FORMATS, default="text", help="how to print them")
    _add_key(verb)

    verb = _add(client, "remove", "clients:remove", "remove a client and its values")
    _add_sealed_file(verb)
    verb.add_argument("name", metavar="NAME", help="its name")

    verb = _add(
        verbs, "blast-radius", "blast_radius:blast_radius", "say what a client's stolen key exposes, and what to do"
    )
    _add_file_to_read(verb)
    verb.add_argument("name", metavar="NAME", help="the client whose key is stolen")
    _add_key(verb)


def add_rotation(verbs: Verbs) -> None:
    """Add the verbs that change keys."""
    rotate = _add_group(verbs, "rotate", "change a key without an outage")

    verb = _add(rotate, "client", "rotate:rotate_client", "give a client a new id beside the old one, until --finish")
    _add_sealed_file(verb)
    verb.add_argument("name", metavar="NAME", help="the client")
    verb.add_argument("--id", metavar="ID", help="the id of its new key")
    verb.add_argument("--finish", action="store_true", help="take the old id away (with --id: at once)")
    verb.add_argument("--old", metavar="ID", help="which id goes, where the client has several")
    _add_dry_run(verb)

    verb = _add(rotate, "server", "rotate:rotate_server", "seal the definition for a new key of the server")
    _add_sealed_file(verb)
    verb.add_argument("--id", metavar="ID", required=True, help="the id of its new key")
    _add_dry_run(verb)


def add_git(verbs: Verbs) -> None:
    """Add the verbs for definitions side by side, above all in git."""
    verb = _add(verbs, "diff", "diff:diff", "print what changed between two definitions, values as short hashes")
    _add_file_to_read(verb, "old")
    verb.add_argument("new", metavar="NEW", help="another")
    _add_values_flag(verb)
    _add_key(verb)

    verb = _add(verbs, "git-setup", "git_setup:git_setup", "have git diff and merge sealed definitions, in this clone")
    verb.add_argument("--pattern", default="*.coffer", help="the files that it is for (default: *.coffer)")
    _add_values_flag(verb)
    _add_key(verb)

    verb = _add(verbs, "textconv", "textconv:textconv", "print a sealed definition for git diff, which calls this")
    verb.add_argument("file", metavar="FILE", help="a sealed file")
    _add_values_flag(verb)
    _add_key(verb)

    verb = _add(verbs, "merge", "merge:merge", "merge two sealed definitions for git merge, which calls this")
    for name, about in (("base", "the file both grew from"), ("ours", "ours; is replaced"), ("theirs", "the other")):
        verb.add_argument(name, metavar=name.upper(), help=about)
    verb.add_argument("--path", metavar="FILE", required=True, help="the file's name in messages")
    _add_key(verb)


def _add(verbs: Verbs, name: str, function: str, summary: str) -> ArgumentParser:
    verb = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    verb.set_defaults(function=function, writes=True)
    return verb


def _add_group(verbs: Verbs, name: str, summary: str) -> Verbs:
    group = verbs.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    return group.add_subparsers(metavar="VERB", required=True, title="verbs", parser_class=program.Parser)


def _add_file_to_read(verb: ArgumentParser, name: str = "file") -> None:
    verb.add_argument(name, metavar=name.upper(), help="a definition, sealed or not; - reads stdin")
    verb.set_defaults(writes=False)


def _add_sealed_file(verb: ArgumentParser) -> None:
    verb.add_argument("file", metavar="FILE", help="the sealed file")
    _add_key(verb)


def _add_names(verb: ArgumentParser) -> None:
    verb.add_argument("name", metavar="CLIENT.KEY", nargs="+", help="whose value, and which")


def _add_values_flag(verb: ArgumentParser) -> None:
    verb.add_argument("--values", action="store_true", help="show values in clear")


def _add_dry_run(verb: ArgumentParser) -> None:
    verb.add_argument("--dry-run", action="store_true", help="change nothing; show what would come next")


def _add_key(verb: ArgumentParser) -> None:
    verb.add_argument(
        "--key",
        metavar="FILE",
        help="the companion's key file (default: $COFFER_COMPANION_KEY, or companion.key beside FILE or here)",
    )
    _add_passphrase_file(verb)
    verb.add_argument(
        "--definition-limit",
        metavar="SIZE",
        type=program.readable(program.read_size),
        default=LIMIT_BYTES,
        help="the largest definition, in bytes or as 64MiB (default: 64MiB)",
    )


def _add_passphrase_file(verb: ArgumentParser) -> None:
    verb.add_argument("--passphrase-file", metavar="FILE", help="read the key's passphrase from a file")


def _length(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text) or not GENERATED_MINIMUM <= int(text) <= GENERATED_MAXIMUM:
        raise ValueError(f"{text!r} is not a length from {GENERATED_MINIMUM} to {GENERATED_MAXIMUM:,}")
    return int(text)
