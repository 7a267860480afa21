"""Going through a training while somebody is told of its steps."""

from dataclasses import asdict

from stitchtui.stitching import column_trainer


def told(work, report=lambda *_: None, remark=lambda *_: None):
    """What the training returns; `report` is told every step's number and progress, `remark` every column's remark."""
    while True:
        try:
            said = next(work)
        except StopIteration as ended:
            return ended.value
        if isinstance(said, column_trainer.Remark):
            remark(said.column, said.text)
        else:
            report(said.step, said.progress)


class Stopped(Exception):
    """A training was closed before its end."""


def made(work, on_step=lambda _: None, stop=lambda: False):
    """What the making of a network returns; `on_step` is told how far it is. Raises Stopped once `stop()` is true."""
    while True:
        if stop():
            work.close()
            raise Stopped
        try:
            said = next(work)
        except StopIteration as ended:
            return ended.value
        on_step(asdict(said))
