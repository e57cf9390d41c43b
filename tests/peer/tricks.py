"""What a server can do to a client, and what an honest client makes of it.

Each trick says what the client must conclude: Unanswered (no whole frame came), Fault (an answer that is
none), Refused (an authentic one), or None: the shard came.

Rule 1: only the holder of ``s`` can do most of this: the client trusts that key, not every byte under it.
"""

import os

from . import wire
from .boxes import box, pad, public
from .fault import Fault, Refused, Unanswered
from .server import Conversation
from .trick import TRICKS, WAIT_SECONDS, dribble, honest_response, refuse, say, to_get, trick
from .wire import Kind

__all__ = ["TRICKS"]  # filled here, by each trick

# no answer


@trick(Unanswered)
def a_reset_at_once(talk: Conversation) -> None:
    raise Fault("a reset at once")


@trick(Unanswered)
def an_end_at_once(talk: Conversation) -> None:
    talk.stream.finish()
    talk.stream.end(1.0)


@trick(Unanswered)
def a_reset_after_hello(talk: Conversation) -> None:
    """What an honest server with another key looks like."""
    talk.take_hello()
    raise Fault("a reset after Hello")


@trick(Unanswered, is_slow=True)
def silence(talk: Conversation) -> None:
    talk.stream.end(WAIT_SECONDS)


# no key


@trick(Fault)
def junk(talk: Conversation) -> None:
    say(talk, os.urandom(1000))


@trick(Fault)
def another_protocol(talk: Conversation) -> None:
    say(talk, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


@trick(Fault)
def hello_thrown_back(talk: Conversation) -> None:
    say(talk, talk.stream.frame(wire.FIRST))


@trick(Fault)
def a_forged_link(talk: Conversation) -> None:
    """All that somebody without ``s`` can make: the right shape."""
    talk.take_hello()
    say(talk, wire.pack(Kind.LINK, public(os.urandom(32)) + os.urandom(40)))


@trick(Fault)
def a_forged_key_not_found(talk: Conversation) -> None:
    talk.take_hello()
    say(talk, wire.pack(Kind.KEY_NOT_FOUND, public(os.urandom(32)) + os.urandom(72)))


@trick(Fault)
def a_forged_error(talk: Conversation) -> None:
    talk.take_hello()
    say(talk, wire.pack(Kind.ERROR, public(os.urandom(32)) + os.urandom(296)))


@trick(Fault)
def a_low_order_ephemeral(talk: Conversation) -> None:
    talk.take_hello()
    link = talk.session.reply(Kind.LINK, b"")
    say(talk, link[:3] + bytes(32) + link[35:])


# the wrong type, the wrong moment, the wrong session


@trick(Fault)
def a_link_called_key_not_found(talk: Conversation) -> None:
    talk.take_hello()
    link = talk.session.reply(Kind.LINK, talk.session.C)
    say(talk, wire.pack(Kind.KEY_NOT_FOUND, link[3:]))


@trick(Fault)
def ok_get_to_hello(talk: Conversation) -> None:
    talk.take_hello()
    talk.session.reply(Kind.LINK, b"")
    say(talk, talk.session.answer(Kind.OK_GET, honest_response(talk)))


@trick(Fault)
def link_twice(talk: Conversation) -> None:
    talk.take_hello()
    say(talk, talk.session.reply(Kind.LINK, b"") * 2)


@trick(Fault)
def ok_get_unasked(talk: Conversation) -> None:
    """Link and OkGet in one piece: a right answer to a question not yet put."""
    talk.take_hello()
    say(talk, talk.session.reply(Kind.LINK, b"") + talk.session.answer(Kind.OK_GET, honest_response(talk)))


@trick(Fault)
def link_to_get(talk: Conversation) -> None:
    to_get(talk)
    say(talk, talk.session.reply(Kind.LINK, b""))


@trick(Fault)
def key_not_found_to_get(talk: Conversation) -> None:
    to_get(talk)
    say(talk, talk.session.answer(Kind.KEY_NOT_FOUND, talk.session.C))


@trick(Fault)
def get_thrown_back(talk: Conversation) -> None:
    talk.take_hello()
    talk.link()
    say(talk, talk.stream.frame(wire.AFTER_LINK))


@trick(Fault)
def get_thrown_back_as_an_answer(talk: Conversation) -> None:
    """The client's own box with the other type and a length that is allowed."""
    talk.take_hello()
    talk.link()
    say(talk, wire.pack(Kind.OK_GET, talk.stream.frame(wire.AFTER_LINK)[3:].ljust(272, b"\0")))


@trick(Fault)
def an_error_called_ok_get(talk: Conversation) -> None:
    to_get(talk)
    say(talk, wire.pack(Kind.OK_GET, talk.session.answer(Kind.ERROR, b"\x80")[3:]))


@trick(Fault)
def ok_get_of_another_session(talk: Conversation) -> None:
    """The same Hello, the same epoch, another R."""
    hello = talk.stream.frame(wire.FIRST)
    other = wire.ServerSession(talk.server.secrets, talk.session.f)
    talk.session.take_hello(hello)
    other.take_hello(hello)
    other.reply(Kind.LINK, b"")
    talk.link()
    talk.take_get()
    say(talk, other.answer(Kind.OK_GET, honest_response(talk)))


# bodies


def _raw_ok_get(talk: Conversation, padded: bytes) -> bytes:
    assert talk.session.keys
    return wire.pack(Kind.OK_GET, box(talk.session.keys.down, wire.nonce(Kind.OK_GET), padded))


@trick(Fault)
def ok_get_without_padding(talk: Conversation) -> None:
    to_get(talk)
    say(talk, _raw_ok_get(talk, honest_response(talk)))


@trick(Fault)
def ok_get_padded_with_zeros_only(talk: Conversation) -> None:
    to_get(talk)
    say(talk, _raw_ok_get(talk, honest_response(talk).ljust(256, b"\0")))


@trick(Fault)
def ok_get_padded_by_a_block_too_much(talk: Conversation) -> None:
    to_get(talk)
    say(talk, _raw_ok_get(talk, pad(honest_response(talk)) + bytes(256)))


@trick(Fault)
def ok_get_of_nothing(talk: Conversation) -> None:
    to_get(talk)
    say(talk, _raw_ok_get(talk, b""))


@trick(Fault)
def ok_get_with_an_empty_response(talk: Conversation) -> None:
    to_get(talk)
    say(talk, talk.session.answer(Kind.OK_GET, b""))


@trick(Fault)
def ok_get_too_long(talk: Conversation) -> None:
    """The longest frame there is; the longest allowed one is 239 bytes shorter."""
    to_get(talk)
    say(talk, _raw_ok_get(talk, bytes(65_535 - 16)))


@trick(Fault)
def bytes_after_ok_get(talk: Conversation) -> None:
    to_get(talk)
    say(talk, talk.session.answer(Kind.OK_GET, honest_response(talk)) + b"more")


@trick(Fault)
def key_not_found_for_somebody_else(talk: Conversation) -> None:
    refuse(Kind.KEY_NOT_FOUND, public(os.urandom(32)))(talk)


@trick(Fault)
def an_error_without_a_text(talk: Conversation) -> None:
    refuse(Kind.ERROR, b"")(talk)


@trick(Fault)
def an_error_that_is_not_utf8(talk: Conversation) -> None:
    refuse(Kind.ERROR, b"\xff\xfe")(talk)


@trick(Fault)
def an_error_that_is_not_utf8to_get(talk: Conversation) -> None:
    refuse(Kind.ERROR, b"\xff\xfe", after_get=True)(talk)


# authentic refusals


@trick(Refused)
def key_not_found(talk: Conversation) -> None:
    C = talk.take_hello()
    say(talk, talk.session.reply(Kind.KEY_NOT_FOUND, C))


@trick(Refused)
def draining(talk: Conversation) -> None:
    refuse(Kind.ERROR, b"draining")(talk)


@trick(Refused)
def unavailable_to_get(talk: Conversation) -> None:
    refuse(Kind.ERROR, b"unavailable", after_get=True)(talk)


@trick(Refused)
def an_error_with_terminal_escapes(talk: Conversation) -> None:
    """The client must escape this before it shows it."""
    refuse(Kind.ERROR, b"\x1b[2J\x1b]0;owned\x07\r\n\xc2\x9b1m")(talk)


# ends and pauses


@trick(Fault)
def an_end_after_get(talk: Conversation) -> None:
    to_get(talk)
    talk.stream.finish()
    talk.stream.end(1.0)


@trick(Fault)
def a_reset_after_get(talk: Conversation) -> None:
    to_get(talk)
    raise Fault("a reset after Get")


@trick(Fault, is_slow=True)
def a_stall_after_link(talk: Conversation) -> None:
    talk.take_hello()
    talk.link()
    talk.stream.end(WAIT_SECONDS)


@trick(Fault, is_slow=True)
def a_stall_in_ok_get(talk: Conversation) -> None:
    to_get(talk)
    talk.stream.send(talk.session.answer(Kind.OK_GET, honest_response(talk))[:-1])
    talk.stream.end(WAIT_SECONDS)


@trick(Unanswered, is_slow=True)
def a_dribble_too_slow(talk: Conversation) -> None:
    """Every byte is early enough, the whole is not."""
    dribble(0.1)(talk)


@trick(None)
def a_dribble(talk: Conversation) -> None:
    dribble(0.0005)(talk)


@trick(None)
def an_end_without_waiting_for_bye(talk: Conversation) -> None:
    """The shard is whole; what becomes of Bye is the server's loss."""
    to_get(talk)
    talk.ok_get(honest_response(talk))
    talk.stream.finish()
    talk.stream.end(1.0)
