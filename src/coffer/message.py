"""What kinds of message there are, who sends them, how long each may be, and what may follow.

Not here: the bytes inside a message, which only the core sees, and the two state machines, which are
``protocol``. The table is that of docs/protocol.md, and a test compares the two.
"""

SHARD_LIMIT_BYTES = 65_279


class Kind:
    """The message types, as they stand on the wire."""

    HELLO = 0x00
    LINK = 0x01
    GET = 0x02
    OK_GET = 0x03
    BYE = 0x99
    KEY_NOT_FOUND = 0xAA
    ERROR = 0xFF


NAMES = {
    Kind.HELLO: "Hello",
    Kind.LINK: "Link",
    Kind.GET: "Get",
    Kind.OK_GET: "OkGet",
    Kind.BYE: "Bye",
    Kind.KEY_NOT_FOUND: "KeyNotFound",
    Kind.ERROR: "Error",
}

FROM_CLIENT = frozenset({Kind.HELLO, Kind.GET, Kind.BYE})
FROM_SERVER = frozenset({Kind.LINK, Kind.OK_GET, Kind.KEY_NOT_FOUND, Kind.ERROR})

# The kinds that may answer or follow each one; an empty set ends the session.
SUCCESSORS = {
    Kind.HELLO: frozenset({Kind.LINK, Kind.KEY_NOT_FOUND, Kind.ERROR}),
    Kind.LINK: frozenset({Kind.GET, Kind.BYE}),
    Kind.GET: frozenset({Kind.OK_GET, Kind.ERROR}),
    Kind.OK_GET: frozenset({Kind.BYE}),
    Kind.BYE: frozenset(),
    Kind.KEY_NOT_FOUND: frozenset(),
    Kind.ERROR: frozenset(),
}

HELLO_LENGTHS = range(128, 129)
LINK_LENGTHS = range(72, 73)
GET_LENGTHS = range(16, 17)
OK_GET_LENGTHS = range(16 + 256, 16 + 256 * 255 + 1, 256)
BYE_LENGTHS = range(48, 49)
KEY_NOT_FOUND_LENGTHS = range(104, 105)
ERROR_TO_HELLO_LENGTHS = range(328, 329)
ERROR_TO_GET_LENGTHS = range(272, 273)

ERROR_LIMIT_BYTES = 255

DRAINING = b"draining"
BUSY = b"busy"
UNAVAILABLE = b"unavailable"
