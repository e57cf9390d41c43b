"""What a client can do to a server, and what an honest server does about it.

Each deed says which answers an honest server gives to a client it knows, and how it then ends: with a reset,
by closing, or "either" where that is its choice.

Rule 1: a deed that is answered with a reset does not end the stream itself, or that would be the reason;
the two that are about the end say so in their name.
"""

import os
import time

from . import wire
from .boxes import box, dh, public
from .client import Client
from .deed import DEEDS, deed
from .fault import Refused
from .wire import Kind

__all__ = ["DEEDS"]  # filled here, by each deed

# honest, in odd shapes


def _leave(client: Client) -> None:
    client.bye()
    client.stream.finish()


@deed(Kind.LINK, Kind.OK_GET, end="closed")
def the_honest_one(client: Client) -> None:
    client.hello()
    client.get()
    _leave(client)


@deed(Kind.LINK, end="closed")
def ping(client: Client) -> None:
    client.hello()
    _leave(client)


@deed(Kind.LINK, Kind.OK_GET, end="closed")
def one_byte_at_a_time(client: Client) -> None:
    _dribble(client, client.session.hello)
    client.take_link()
    _dribble(client, client.session.get())
    client.take_shard()
    _dribble(client, client.session.bye())
    client.stream.finish()


def _dribble(client: Client, data: bytes, pause: float = 0.0) -> None:
    for at in range(len(data)):
        client.stream.send(data[at : at + 1])
        time.sleep(pause)


@deed(Kind.LINK, Kind.OK_GET, end="closed")
def get_and_bye_at_once(client: Client) -> None:
    client.hello()
    client.stream.send(client.session.get() + client.session.bye())
    client.take_shard()
    client.stream.finish()


@deed(Kind.KEY_NOT_FOUND, end="closed")
def unknown_client(client: Client) -> None:
    client.session = wire.ClientSession(client.session.S, os.urandom(32))
    try:
        client.hello()
    except Refused:
        client.stream.finish()


@deed(Kind.KEY_NOT_FOUND, end="either")
def unknown_client_that_asks_on(client: Client) -> None:
    client.session = wire.ClientSession(client.session.S, os.urandom(32))
    try:
        client.hello()
    except Refused:
        client.stream.send(client.session.get())


# strangers: not one byte, and a reset


@deed()
def junk(client: Client) -> None:
    client.stream.send(os.urandom(1000))


@deed()
def junk_of_the_right_length(client: Client) -> None:
    client.stream.send(wire.pack(Kind.HELLO, os.urandom(128)))


@deed()
def another_protocol(client: Client) -> None:
    client.stream.send(b"GET / HTTP/1.1\r\nHost: coffer\r\n\r\n")


@deed()
def nothing_but_an_end(client: Client) -> None:
    client.stream.finish()


@deed(is_slow=True)
def nothing(client: Client) -> None:
    pass


@deed(is_slow=True)
def a_hello_too_slow(client: Client) -> None:
    """Every byte is early enough, the whole is not."""
    _dribble(client, client.session.hello, pause=0.1)


@deed()
def another_server(client: Client) -> None:
    """Both boxes for a server key that is not this server's."""
    S = public(os.urandom(32))
    client.stream.send(wire.pack_hello(S, client.session.c, client.session.e))


@deed()
def another_server_inside(client: Client) -> None:
    """The outer box for this server, the inner one for another."""
    mine = client.session
    inner = wire.inner_box(public(os.urandom(32)), mine.c, public(mine.e))
    client.stream.send(wire.outer_hello(mine.S, mine.e, mine.C, inner))


@deed()
def a_stolen_name(client: Client) -> None:
    """Who knows S and the C of a client, but not its key."""
    mine = client.session
    inner = wire.inner_box(mine.S, os.urandom(32), public(mine.e))
    client.stream.send(wire.outer_hello(mine.S, mine.e, mine.C, inner))


@deed()
def another_name_in_the_inner_box(client: Client) -> None:
    """An inner box under the right key and nonce that opens to somebody else."""
    mine = client.session
    nonce = wire.inner_nonce(public(mine.e), mine.S, mine.C)
    inner = box(dh(mine.S, mine.c), nonce, public(os.urandom(32)))
    client.stream.send(wire.outer_hello(mine.S, mine.e, mine.C, inner))


@deed()
def an_inner_box_of_another_hello(client: Client) -> None:
    mine = client.session
    inner = wire.inner_box(mine.S, mine.c, public(os.urandom(32)))
    client.stream.send(wire.outer_hello(mine.S, mine.e, mine.C, inner))


@deed()
def a_low_order_ephemeral(client: Client) -> None:
    client.stream.send(wire.pack(Kind.HELLO, bytes(32) + client.session.hello[35:]))


@deed()
def a_low_order_name(client: Client) -> None:
    """``C`` of order one: the outer box opens, dh(C,s) fails."""
    mine = client.session
    client.stream.send(wire.outer_hello(mine.S, mine.e, bytes(32), os.urandom(48)))


@deed()
def a_hello_one_byte_short(client: Client) -> None:
    client.stream.send(wire.pack(Kind.HELLO, client.session.hello[3:-1]))


@deed()
def a_hello_one_byte_long(client: Client) -> None:
    client.stream.send(wire.pack(Kind.HELLO, client.session.hello[3:] + b"\0"))


@deed()
def get_before_hello(client: Client) -> None:
    client.stream.send(wire.pack(Kind.GET, os.urandom(16)))


@deed()
def bye_before_hello(client: Client) -> None:
    client.stream.send(wire.pack(Kind.BYE, os.urandom(48)))


# after Link


@deed(Kind.LINK)
def hello_twice(client: Client) -> None:
    client.hello()
    client.stream.send(client.session.hello)


@deed(Kind.LINK)
def hello_and_junk_at_once(client: Client) -> None:
    client.stream.send(client.session.hello + os.urandom(19))


@deed(Kind.LINK)
def link_thrown_back(client: Client) -> None:
    client.hello()
    client.stream.send(bytes(client.stream.received))


@deed(Kind.LINK)
def get_under_the_wrong_key(client: Client) -> None:
    """Sealed with the key for the other direction."""
    client.hello()
    assert client.session.keys
    client.stream.send(wire.pack(Kind.GET, wire.seal(client.session.keys.down, Kind.GET, b"")))


@deed(Kind.LINK)
def get_sealed_as_bye(client: Client) -> None:
    client.hello()
    assert client.session.keys
    client.stream.send(wire.pack(Kind.GET, wire.seal(client.session.keys.up, Kind.BYE, b"")))


@deed(Kind.LINK)
def get_with_a_body(client: Client) -> None:
    client.hello()
    client.stream.send(client.session.pack(Kind.GET, b"all"))


@deed(Kind.LINK)
def get_of_another_session(client: Client) -> None:
    """The same client, the same server, one session earlier."""
    client.hello()
    with Client(client.where, client.session.c) as earlier:
        earlier.hello()
        client.stream.send(earlier.session.get())


@deed(Kind.LINK)
def bye_for_somebody_else(client: Client) -> None:
    client.hello()
    client.stream.send(client.session.pack(Kind.BYE, public(os.urandom(32))))


@deed(Kind.LINK)
def an_answer_to_oneself(client: Client) -> None:
    """OkGet is the server's to send."""
    client.hello()
    client.stream.send(client.session.pack(Kind.OK_GET, b"\x80"))


@deed(Kind.LINK)
def an_end_after_link(client: Client) -> None:
    client.hello()
    client.stream.finish()


@deed(Kind.LINK, is_slow=True)
def a_stall_after_link(client: Client) -> None:
    client.hello()


@deed(Kind.LINK, end="either")
def bye_before_get(client: Client) -> None:
    """After Bye nobody listens any more; Get earns nothing."""
    client.hello()
    client.stream.send(client.session.bye() + client.session.get())
    client.stream.finish()


# after OkGet


@deed(Kind.LINK, Kind.OK_GET)
def get_twice(client: Client) -> None:
    client.hello()
    client.get()
    client.stream.send(client.session.get())


@deed(Kind.LINK, Kind.OK_GET)
def get_twice_at_once(client: Client) -> None:
    client.hello()
    client.stream.send(client.session.get() * 2)


@deed(Kind.LINK, Kind.OK_GET)
def hello_again_at_the_end(client: Client) -> None:
    client.hello()
    client.get()
    client.stream.send(client.session.hello)


@deed(Kind.LINK, Kind.OK_GET)
def bye_for_somebody_else_at_the_end(client: Client) -> None:
    client.hello()
    client.get()
    client.stream.send(client.session.pack(Kind.BYE, public(os.urandom(32))))


@deed(Kind.LINK, Kind.OK_GET)
def ok_get_thrown_back(client: Client) -> None:
    client.hello()
    client.get()
    client.stream.send(bytes(client.stream.received[75:]))


@deed(Kind.LINK, Kind.OK_GET, is_slow=True)
def no_bye(client: Client) -> None:
    client.hello()
    client.get()
