"""Ctrl-C and SIGTERM: the first waits until stopping is safe, the second does not; nothing swallows them."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import pytest

from aitimestepper.cli.interrupt import Interrupt, heard

BOTH = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _usual_handlers():
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in zip(BOTH, before, strict=True):
        signal.signal(number, handler)
    heard.number = 0


@pytest.mark.parametrize("number", BOTH)
def test_the_first_waits_for_the_check_and_the_second_is_raised_at_once(number):
    with Interrupt() as interrupt:
        interrupt.check()
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert heard.exit_code() == 128 + number


@pytest.mark.parametrize("number", BOTH)
def test_one_that_a_library_swallows_stops_at_the_next_check(number):
    with heard:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        with Interrupt() as interrupt, pytest.raises(KeyboardInterrupt):
            interrupt.check()


@pytest.mark.parametrize("number", BOTH)
@pytest.mark.parametrize("where", ["before the command", "in an import of the command"])
def test_one_while_something_is_loaded_ends_the_program_in_one_line(tmp_path, number, where):
    (tmp_path / "loaded.py").write_text(
        textwrap.dedent(
            f"""
            import signal
            try:
                signal.raise_signal({int(number)})
            except BaseException:
                pass
            """
        )
    )
    running = "with heard:\n    import loaded" if where.startswith("in") else "import loaded"
    script = f"from aitimestepper.cli.interrupt import heard\nheard.listen()\n{running}\nprint('went on')\n"
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "aitimestepper: error: interrupted\n")


def test_the_usual_meaning_returns_afterwards():
    with Interrupt():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_where_it_is_ignored_it_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        interrupt.check()
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
