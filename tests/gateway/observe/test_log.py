"""Goal: nobody who reads the log, or fails to, can stop the gateway.

Method: the real log on streams that stall, fail and close.
"""

import contextlib
import io
import json
import os
import threading

from gateway.observe import log as logging
from gateway.observe.log import LINES_MAX, Lines
from tests.gateway.seen import DEADLINE_S


class Stalled(io.StringIO):
    """A terminal that takes nothing until it is released."""

    def __init__(self):
        super().__init__()
        self.released = threading.Event()

    def write(self, text):
        assert self.released.wait(DEADLINE_S)
        return super().write(text)


class Full(io.StringIO):
    """A file on a full disk."""

    def write(self, text):
        raise OSError(28, "No space left on device")


def test_a_line_of_json_is_one_object():
    stream = io.StringIO()
    log, lines = logging.start("json", stream)
    log.bind(part="link").warning("node_unknown", text="who\nis this?", count=3)
    try:
        int("as if")
    except ValueError:
        log.exception("task_failed", task="link")
    lines.close()
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {"event", "level", "timestamp", "part", "text", "count"} == set(first)
    assert (first["event"], first["level"], first["text"]) == (
        "node_unknown",
        "warning",
        "who\nis this?",
    )
    assert second["level"] == "error"
    assert second["exception"][0]["exc_type"] == "ValueError"
    assert "locals" not in second["exception"][0]["frames"][0]


def test_a_line_for_a_person_has_no_colours_in_a_file():
    stream = io.StringIO()
    log, lines = logging.start("console", stream)
    log.info("started", post="post-1")
    lines.close()
    assert "started" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_a_stalled_reader_costs_lines_and_nothing_else():
    stream = Stalled()
    lines = Lines(stream)
    for number in range(LINES_MAX + 500):
        lines.msg(str(number))  # returns at once
    assert 498 <= lines.dropped <= 500
    stream.released.set()
    lines.close()
    assert len(stream.getvalue().splitlines()) == LINES_MAX + 500 - lines.dropped


def test_a_full_disk_and_a_closed_pipe_are_counted():
    lines = Lines(Full())
    lines.msg("a")
    lines.close()
    assert lines.dropped == 1
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "w")
    lines = Lines(pipe)
    lines.msg("nobody reads this")
    lines.close()
    assert lines.dropped == 1
    with contextlib.suppress(BrokenPipeError):
        pipe.close()


def test_lines_for_the_journal_have_a_priority_and_stay_whole():
    """Journalctl filters by it; a traceback is one entry, not twenty."""
    stream = io.StringIO()
    log, lines = logging.start("journal", stream)
    log.bind(part="link").warning("node_unknown", text='who\nis "this"?', count=3)
    log.info("started", nodes=["lane-1"])
    try:
        int("as if")
    except ValueError:
        log.exception("task_failed", task="link")
    lines.close()
    first, second, third = stream.getvalue().splitlines()
    assert first == r'<4>node_unknown part=link text="who\nis \"this\"?" count=3'
    assert second.startswith("<6>started nodes=")
    assert third.startswith("<3>task_failed task=link exception=")
    assert "ValueError" in third


def test_where_standard_error_is_the_journal_every_form_has_a_priority(tmp_path, monkeypatch):
    for number, form in enumerate(("json", "console")):
        with (tmp_path / form).open("w+") as stream:
            found = os.fstat(stream.fileno())
            # Another process has inherited the variable, but not the stream.
            for inode in (found.st_ino + 1, found.st_ino):
                monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{inode}")
                log, lines = logging.start(form, stream)
                try:
                    int("as if")
                except ValueError:
                    log.exception("task_failed")
                lines.close()
            text = (tmp_path / form).read_text()
            plain, marked = text.split("<3>", 1)
            assert "task_failed" in plain
            assert "task_failed" in marked
            kept = text[len(plain) :].splitlines()
            assert len(kept) == (1, len(kept))[number]
            assert all(line.startswith("<3>") for line in kept)
