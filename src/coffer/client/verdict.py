"""What a session that is over means for the one who asked, and which failures may pass.

Not here: sockets and waiting; ``fetch`` and ``aio`` share this.

Rule 1: what may pass is nobody there, silence, a cut, and an Error that says so. A box that does not open, a frame
that cannot be and KeyNotFound stay as they are however often one asks.
Rule 2: bytes after the last answer, or any other fault, outweigh a response that came before it.
"""

from __future__ import annotations

from coffer import message
from coffer.codec import decode
from coffer.errors import (
    CofferError,
    CutError,
    FrameError,
    NoAnswerError,
    OpenError,
    OrderError,
    RefusedError,
    UnreachableError,
)
from coffer.identity import format_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from coffer.protocol import ClientSession
    from coffer.shard import Shard

    from .address import Address

CLOSED = "it closed the connection"
LATE = "it fell silent"

# A server says nothing to a stranger, so the client can only name what may be behind it.
SILENCE = (
    "a coffer server is silent to strangers. Either the id in the address is not this server's, or the server takes "
    "no more connections, or it is another program or version; the log of a coffer server says which"
)
WRONG = "something between here and the server alters what passes, or the server is broken"
STRANGE = "that is no coffer server, or one of another version"
MALFORMED = "the server is broken, or newer than this client; nothing of what it sent is used"
UNHEARD_OF = "no reason that this version knows; the log of the server may say more"
REASONS = {
    message.DRAINING: "it is shutting down; try again, or name a second --server",
    message.BUSY: "it has too much to do; try again, or name a second --server",
    message.UNAVAILABLE: "it cannot write its audit log; whoever runs it must look",
}


def receive(session: ClientSession, data: bytes, address: Address) -> bytes:
    """Return what the session replies to ``data``; raise OrderError for an answer to Get from before Get was sent.

    The session cannot tell: to it, what one piece brings is the same as what two bring.
    """
    asked = session.linked
    reply = session.receive(data)
    if session.linked and not asked and (session.response is not None or session.refusal is not None):
        raise OrderError(f"{address}: it answered Get before Get was sent", WRONG)
    return reply


def judge(session: ClientSession, address: Address, client: bytes, ended: str | None) -> None:
    """Raise what the session came to, unless the shard, or the Link that was asked for, arrived.

    ``ended`` says how the stream ended before the session did: CLOSED, LATE or None.
    """
    if ended and session.linked:
        raise CutError(f"{address}: the server proved itself, but then {ended}", "try again; its log may say more")
    if ended:
        raise no_answer(address, ended)
    if session.fault:
        _blame(session, address)
    if session.unknown:
        raise RefusedError(
            f"{address}: the server does not know this client",
            f"its id is {format_id(client)}: add that to [clients] of the definition, and seal it again",
        )
    if session.refusal is not None:
        _tell(session.refusal, address)


def read(response: bytes, address: Address) -> Shard:
    """Return the shard in a response that the server at ``address`` sent. Raises FrameError."""
    try:
        return decode(response)
    except FrameError as error:
        raise FrameError(f"{address}: in its answer to Get: {error}", MALFORMED) from None


def no_answer(address: Address, ended: str) -> NoAnswerError:
    """Return the error for a connection that came about, and on which nobody proved anything."""
    return NoAnswerError(f"{address}: no answer: {ended}", SILENCE)


def may_pass(error: CofferError) -> bool:
    """Whether another attempt, there or elsewhere, may do better."""
    if isinstance(error, RefusedError):
        return error.reason in _PASSING
    return isinstance(error, UnreachableError | NoAnswerError | CutError)


def sum_up(errors: list[CofferError]) -> CofferError:
    """Return one error for the last errors of several servers: of the kind that says most, with all their words."""
    telling = max(errors, key=lambda error: error.exit_code)
    if len(errors) > 1:
        telling.args = ("; ".join(map(str, errors)),)
    return telling


_PASSING = frozenset(reason.decode() for reason in REASONS)


def _blame(session: ClientSession, address: Address) -> None:
    fault = session.fault
    assert fault is not None
    where = "in its answer to Get" if session.linked else "in its answer to Hello"
    if session.linked or isinstance(fault, OpenError):
        raise type(fault)(f"{address}: {where}: {fault}", WRONG)
    raise type(fault)(f"{address}: {where}: {fault}", STRANGE)


def _tell(refusal: bytes, address: Address) -> None:
    from coffer.ending import escape

    reason, hint = refusal.decode(), REASONS.get(refusal, UNHEARD_OF)
    raise RefusedError(f"{address}: the server refuses: {escape(reason)}", hint, reason=reason)
