"""A signal that ends a program lets it put the terminal back; what was told to be ignored stays ignored."""

import os
import signal

import pytest

from stitchtui.base.signals import ending_signals, leaving_in_order


@pytest.fixture(autouse=True)
def handlers():
    """SIGTERM and SIGHUP as a program finds them on a terminal; afterwards as before."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_ending_signal_leaves_through_what_puts_the_terminal_back_and_a_second_one_waits(number):
    put_back = []
    with pytest.raises(SystemExit) as left, leaving_in_order():
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            put_back.append(True)
    assert (left.value.code, put_back) == (128 + number, [True])
    assert signal.getsignal(number) is signal.SIG_DFL


def test_what_this_process_was_told_to_ignore_stays_ignored():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert ending_signals() == [signal.SIGTERM]
    with leaving_in_order():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
