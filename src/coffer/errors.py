"""Everything coffer raises on purpose, and the exit code each kind ends a program with.

Not here: what a peer did wrong in a session, which is data (``session.fault``) until a program gives up
because of it, and our own mistakes, which stay ValueError and TypeError and crash.
"""


class CofferError(Exception):
    """The root. ``str()`` is one line that says what and where; ``hint`` says what to do next, or is None."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class PeerError(CofferError):
    """The other end sent something that coffer's protocol does not allow."""

    exit_code = 76


class FrameError(PeerError):
    """A frame of a length or type that does not exist, or a stream that ends inside a frame."""


class OrderError(PeerError):
    """A frame that exists, but may not come now."""


class OpenError(PeerError):
    """A box that does not open. Every reason has the same words: nobody learns anything by probing."""


class OperatorError(CofferError):
    """Something the person who runs the program can mend: ``file: [table] key: what is wrong``."""

    exit_code = 78


class SettingsError(OperatorError):
    """A flag, an environment variable or a settings file that cannot be used."""


class KeyFileError(OperatorError):
    """A key file that is refused, or cannot be read or written."""


class IdError(OperatorError):
    """A text that is not the id of a usable public key."""


class DefinitionError(OperatorError):
    """A definition that is refused as a whole."""

    exit_code = 3


class EnvelopeError(OperatorError):
    """A sealed definition that is refused as a whole."""

    exit_code = 3


class MissingNameError(OperatorError):
    """No value, client or table of that name."""

    exit_code = 1


class FetchError(CofferError):
    """A shard that did not arrive."""

    exit_code = 69


class UnreachableError(FetchError):
    """No connection came about."""


class NoAnswerError(FetchError):
    """A connection came about, and ended before anything authentic was said on it."""


class RefusedError(FetchError):
    """The server authentically said no: KeyNotFound, or Error with its text in ``reason``."""

    exit_code = 77

    def __init__(self, message: str, hint: str | None = None, *, reason: str | None = None) -> None:
        super().__init__(message, hint)
        self.reason = reason
