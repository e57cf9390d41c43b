"""The coffer conversation, without a socket in sight.

A session eats bytes and answers bytes. It never blocks, sleeps, logs or looks at a clock, so every path
through it is a plain function call in a test. The keys of a session and the shards are the core's.

Rule 1: what may follow what, and how long it is, is decided by ``SERVER_STEPS`` and ``CLIENT_STEPS``.
Rule 2: a shard is a handle here; this module cannot read one byte of it.
Rule 3: a peer's mistake ends the session for good and is kept in ``fault``; nothing is said about it.
"""

from __future__ import annotations

from coffer import message
from coffer._core import ClientChannel, Frames
from coffer.errors import FrameError, OpenError, OrderError, PeerError
from coffer.message import Kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from coffer._core import Keypair, Responder, ServerChannel, ShardHandle


class State:
    """What a session waits for."""

    HELLO = "Hello"
    LINK = "an answer to Hello"
    GET = "Get"
    OK_GET = "an answer to Get"
    BYE = "Bye"
    CLOSED = "nothing"


# state -> what may come -> its content-lengths. What is not here ends the session.
SERVER_STEPS: dict[str, dict[int, range]] = {
    State.HELLO: {Kind.HELLO: message.HELLO_LENGTHS},
    State.GET: {Kind.GET: message.GET_LENGTHS, Kind.BYE: message.BYE_LENGTHS},
    State.BYE: {Kind.BYE: message.BYE_LENGTHS},
    State.CLOSED: {},
}
CLIENT_STEPS: dict[str, dict[int, range]] = {
    State.LINK: {
        Kind.LINK: message.LINK_LENGTHS,
        Kind.KEY_NOT_FOUND: message.KEY_NOT_FOUND_LENGTHS,
        Kind.ERROR: message.ERROR_TO_HELLO_LENGTHS,
    },
    State.OK_GET: {Kind.OK_GET: message.OK_GET_LENGTHS, Kind.ERROR: message.ERROR_TO_GET_LENGTHS},
    State.CLOSED: {},
}


class _Session:
    """What both ends share: frames in, one step for each, and the first fault ends it.

    ``closed`` says that nothing more is to come from the peer, but its closing of the connection.
    """

    __slots__ = ("_channel", "_frames", "closed", "fault", "state")

    _steps: dict[str, dict[int, range]]
    _channel: Any
    fault: PeerError | None

    def __init__(self, state: str) -> None:
        self.state = state
        self.closed = False
        self.fault = None
        self._frames = Frames()

    def receive(self, data: bytes | memoryview) -> bytes:
        """Take bytes off the wire and return the bytes to send back.

        A peer's mistake is an ordinary outcome, not an exception: it closes the session, is kept in
        ``fault``, and costs nothing further. What the peer had earned before it is still sent.
        """
        reply = b""
        if self.fault is not None:
            return reply
        frames = self._frames
        try:
            frames.feed(data)
            while not self.closed and (frame := frames.next(self._steps[self.state])):
                reply += self._take(*frame)
                if not frames:
                    return reply
            if self.closed and frames:
                raise OrderError("bytes after the end of the session")
        except PeerError as fault:
            # Without its traceback, which would keep this very session alive until a collection.
            self._fail(fault.with_traceback(None))
        return reply

    def receive_end(self) -> None:
        """Take the end of the stream, which is a fault unless the session is over."""
        if not self.closed:
            inside = " inside a frame" if len(self._frames) else ""
            self._fail(FrameError(f"the stream ends{inside} where {self.state} was to come"))

    def _fail(self, fault: PeerError) -> None:
        self.fault = fault
        self._close()

    def _close(self) -> None:
        self.closed = True
        self.state = State.CLOSED
        self._channel = None

    def _take(self, kind: int, body: bytes) -> bytes:
        raise NotImplementedError


class ServerSession(_Session):
    """The server's end of one conversation.

    ``find`` is asked once, by the client's public key, and returns a handle or None. From a Hello that opened on,
    ``client`` is that key, ``shard`` that handle, and ``told`` the kind of the last answer; before, they are None.
    That Hello may be a recorded one: ``proven`` says that a Get or Bye has opened, and so the client is there.
    ``refusal`` is read when an answer is due: one of the texts of Error, or None.
    """

    __slots__ = ("_find", "_responder", "client", "proven", "refusal", "shard", "told")

    _steps = SERVER_STEPS
    _channel: ServerChannel | None

    def __init__(self, responder: Responder, find: Callable[[bytes], ShardHandle | None]) -> None:
        super().__init__(State.HELLO)
        self._responder = responder
        self._find = find
        self._channel = None
        self.client: bytes | None = None
        self.shard: ShardHandle | None = None
        self.refusal: bytes | None = None
        self.told: int | None = None
        self.proven = False

    def _take(self, kind: int, body: bytes) -> bytes:
        if kind == Kind.HELLO:
            return self._take_hello(body)
        if kind == Kind.GET:
            return self._take_get(body)
        return self._take_bye(body)

    def _take_hello(self, body: bytes) -> bytes:
        channel = self._channel = self._responder.open_hello(body)
        self.client = channel.client
        self.shard = self._find(channel.client)
        if self.shard is None:
            return self._answer_last(channel, Kind.KEY_NOT_FOUND, channel.client)
        if self.refusal is not None:
            return self._answer_last(channel, Kind.ERROR, self.refusal)
        self.told = Kind.LINK
        self.state = State.GET
        return channel.answer(Kind.LINK)

    def _answer_last(self, channel: ServerChannel, kind: int, body: bytes) -> bytes:
        self.told = kind
        frame = channel.answer(kind, body)
        self._close()
        return frame

    def _take_get(self, body: bytes) -> bytes:
        assert self._channel is not None and self.shard is not None
        self._channel.open(Kind.GET, body)
        self.proven = True
        if self.refusal is not None:
            frame = self._channel.seal(Kind.ERROR, self.refusal)
            self.told = Kind.ERROR
            self._close()
            return frame
        self.told = Kind.OK_GET
        self.state = State.BYE
        return self._channel.seal_shard(self.shard)

    def _take_bye(self, body: bytes) -> bytes:
        assert self._channel is not None
        if self._channel.open(Kind.BYE, body) != self.client:
            raise OpenError("Bye: not from this client")
        self.proven = True
        self._close()
        return b""


class ClientSession(_Session):
    """The client's end of one conversation. ``hello`` goes first; after that, ``receive`` says what to send.

    With ``ask`` it gets the shard, without it says Bye to Link. When it is closed without ``fault``, one of
    ``response`` (CBOR), ``refusal`` (the text of Error), ``unknown`` (KeyNotFound) or, without ``ask``,
    ``linked`` is what came of it, each said by the holder of the server's key.
    """

    __slots__ = ("_ask", "_client", "hello", "linked", "refusal", "response", "unknown")

    _steps = CLIENT_STEPS
    _channel: ClientChannel | None

    def __init__(
        self, keypair: Keypair, server: bytes, *, ask: bool = True, ephemeral: Keypair | None = None
    ) -> None:
        """Raises OpenError for a low-order server key. Only known-answer tests hand in ``ephemeral``."""
        super().__init__(State.LINK)
        self._channel = ClientChannel(keypair, server, ephemeral)
        self._client = keypair.public
        self._ask = ask
        self.hello = self._channel.hello
        self.linked = False
        self.response: bytes | None = None
        self.refusal: bytes | None = None
        self.unknown = False

    def _take(self, kind: int, body: bytes) -> bytes:
        assert self._channel is not None
        if self.state is State.LINK:
            return self._take_answer(kind, self._channel.open_answer(kind, body))
        opened = self._channel.open(kind, body)
        if kind == Kind.OK_GET:
            self.response = opened
            return self._say_bye()
        return self._take_error(opened)

    def _take_answer(self, kind: int, opened: bytes) -> bytes:
        if kind == Kind.LINK:
            return self._take_link()
        if kind == Kind.ERROR:
            return self._take_error(opened)
        if opened != self._client:
            raise OpenError("KeyNotFound: for another client")
        self.unknown = True
        self._close()
        return b""

    def _take_link(self) -> bytes:
        assert self._channel is not None
        self.linked = True
        if not self._ask:
            return self._say_bye()
        self.state = State.OK_GET
        return self._channel.seal(Kind.GET)

    def _take_error(self, text: bytes) -> bytes:
        if not 1 <= len(text) <= message.ERROR_LIMIT_BYTES:
            raise FrameError("Error: its text has a length that cannot be")
        try:
            text.decode()
        except UnicodeDecodeError:
            raise FrameError("Error: its text is not UTF-8") from None
        self.refusal = text
        self._close()
        return b""

    def _say_bye(self) -> bytes:
        assert self._channel is not None
        frame = self._channel.seal(Kind.BYE, self._client)
        self._close()
        return frame

    def _fail(self, fault: PeerError) -> None:
        """End the session and forget what came of it: nobody takes an answer from a session that erred."""
        super()._fail(fault)
        self.response = self.refusal = None
        self.unknown = False
