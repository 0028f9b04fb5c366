"""What holds for every test: no signal is ignored."""

import signal

USUAL = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,
}


def pytest_configure() -> None:
    """Undo what nohup, a shell in the background or a CI runner has ignored for its children.

    Processes that the tests start would inherit it, and could not be ended by these signals."""
    for number, handler in USUAL.items():
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)
