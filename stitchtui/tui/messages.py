"""What the app tells its screens, and what the thread that watches a run tells the app."""

from textual.message import Message


class RunChanged(Message):
    """The watched run's state or condition differs from what was drawn; `opened` when it is another run."""

    def __init__(self, opened: bool = False) -> None:
        super().__init__()
        self.opened = opened

    def can_replace(self, message: Message) -> bool:
        """Whether this makes an older message in the queue superfluous."""
        return isinstance(message, RunChanged) and (self.opened or not message.opened)


class Arrived(Message):
    """The thread has something for `RunWatch.collect`; what it has waits in the watch, so that none is lost."""

    def can_replace(self, message: Message) -> bool:
        """Whether this makes an older message in the queue superfluous."""
        return isinstance(message, Arrived)
