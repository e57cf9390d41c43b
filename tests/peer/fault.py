"""What the other end did wrong, as one small tree of exceptions."""


class Fault(Exception):
    """A frame, a box, a text or a file that the protocol does not allow."""


class Ended(Fault):
    """The other end is gone; ``how`` is "closed" or "reset"."""

    def __init__(self, how: str) -> None:
        super().__init__(f"the stream was {how}")
        self.how = how


class Late(Fault):
    """A deadline passed."""


class Unanswered(Fault):
    """No Link came: unreachable, the wrong server key, or a server that refuses."""


class Refused(Fault):
    """An authentic KeyNotFound or Error."""
