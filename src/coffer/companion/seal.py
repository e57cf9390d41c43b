"""``seal`` and ``open``: a definition into its sealed file, and out of it again."""

from __future__ import annotations

import os
import sys
import time

from coffer import envelope, files
from coffer.companion.findings import mention_advice
from coffer.companion.keys import load_companion_key, load_key, read_id, read_server_id
from coffer.companion.reading import check_writable, is_sealed, name, read_definition
from coffer.companion.sealed import Sealed, Sealer
from coffer.companion.terminal import say
from coffer.errors import EnvelopeError, OperatorError, SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

    from coffer._core import Keypair
    from coffer.envelope import Envelope


def seal(options: Namespace) -> int:
    """Check a definition, seal it, and put it in place of the file of ``--output``."""
    check_writable(options.output, "-o")
    keypair = load_companion_key(options, options.output)
    given = None if options.server is None else read_server_id(options.server, "--server", keypair)
    text = read_definition(options.definition, options.definition_limit)
    replaces = _read_old(options)
    old = _parse_old(options, replaces, keypair)
    server = given or (old and old.server)
    if not server:
        raise SettingsError("for which server?", "--server ID: its id, which coffer-companion id FILE prints")
    sealer = Sealer(keypair, server, options.definition_limit)
    checked = sealer.seal(text, name(options.definition), options.output, _serial(old, options.new), replaces)
    mention_advice(checked, text.decode(), options.output)
    return 0


def open_sealed(options: Namespace) -> int:
    """Print the definition in a sealed file, or write it to one: as its companion, or with the server's key."""
    if options.output is not None:
        check_writable(options.output, "-o")
    sealed = envelope.parse_armour(read_definition(options.file, options.definition_limit), name(options.file))
    text = _open_as_companion(options, sealed) if options.companion is None else _open_as_server(options, sealed)
    if options.output is None:
        sys.stdout.buffer.write(text)
    else:
        _write_new(options.output, text)
        say(f"wrote {options.output} (mode 0600), which is in clear: remove it once it is sealed")
    return 0


def _write_new(path: str, text: bytes) -> None:
    """Make a file that only its owner reads, all of it or none. What is there already may be work not sealed yet."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise SettingsError(f"{path}: there is a file already, and it may hold work", "choose another name") from None
    except OSError as error:
        raise OperatorError(f"{path}: {error.strerror}") from None
    try:
        with open(fd, "wb") as file:
            os.fchmod(fd, 0o600)
            file.write(text)
    except OSError as error:
        os.unlink(path)
        raise OperatorError(f"{path}: {error.strerror}") from None
    except BaseException:
        os.unlink(path)
        raise


def _read_old(options: Namespace) -> bytes | None:
    if not os.path.lexists(options.output):
        return None
    if os.path.exists(options.definition) and os.path.samefile(options.definition, options.output):
        raise SettingsError(f"{options.output}: the definition itself", "name another file with -o")
    return files.load(options.output, envelope.armour_limit(options.definition_limit))


def _parse_old(options: Namespace, raw: bytes | None, keypair: Keypair) -> Envelope | None:
    """Return what is to be replaced: what this key opens or, with --new, whatever can be read of it.

    Nothing but a sealed definition is ever replaced: a slip of -o could cost a key.
    """
    if not raw:
        return None
    if not is_sealed(raw):
        raise SettingsError(
            f"{options.output}: not a sealed definition, and nothing else is replaced", "name another file with -o"
        )
    try:
        if options.new:
            return envelope.parse_armour(raw, options.output)
        return Sealed(options.output, raw, keypair).envelope
    except EnvelopeError as error:
        if options.new:
            return None
        raise EnvelopeError(str(error), "name another file, or replace this one with --new") from None


def _serial(old: Envelope | None, new: bool) -> int:
    """With --new nobody knows which serials servers have seen; the time is above all that were counted."""
    following = old.serial + 1 if old else 1
    return max(int(time.time()), following) if new else following


def _open_as_companion(options: Namespace, sealed: Envelope) -> bytes:
    keypair = load_companion_key(options, options.file)
    if keypair.public == sealed.server:
        raise SettingsError(
            f"{sealed.source}: that is the server's key, which opens it only by saying who sealed it",
            "--companion ID: the id of the companion that you trust",
        )
    return sealed.open_as_companion(keypair)


def _open_as_server(options: Namespace, sealed: Envelope) -> bytes:
    if options.key is None:
        raise SettingsError("--companion goes with the server's key", "--key server.key")
    companion = read_id(options.companion, "--companion")
    return sealed.open_as_server(load_key(options.key, options.passphrase_file), {companion})
