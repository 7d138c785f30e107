"""Runs the commands of a page as its reader would: in terminals, in the order of the page."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

__all__ = ["Block", "Terminal", "blocks_of", "expected_in", "with_free_ports"]

BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^```$", re.M | re.S
)
STATUS = re.compile(r"__status=(\d+)__")
BOUND_S = 60.0


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str
    text: str


class Step(NamedTuple):
    """A command and what the page shows of its output."""

    command: str
    shown: tuple[str, ...]


def blocks_of(page: str) -> list[Block]:
    """Every fenced block, in order."""
    return [Block(m["language"], m["title"] or "", m["text"]) for m in BLOCK.finditer(page)]


def with_free_ports(text: str) -> str:
    """Put free ports for 3000, 3080 and their neighbours, which may be taken on this machine."""
    for port in sorted(set(re.findall(r"\b30[08]\d\b", text))):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            text = re.sub(rf"\b{port}\b", str(probe.getsockname()[1]), text)
    return text


def steps_of(block: str) -> Iterator[Step]:
    """The commands of a console block; lines before the first are output of what still runs."""
    command, shown = "", list[str]()
    is_continued = False
    for line in block.splitlines():
        if is_continued:
            command += "\n" + line
        elif line == "^C" or line.startswith("$ "):
            if command or shown:
                yield Step(command, tuple(shown))
            command, shown = line.removeprefix("$ "), []
        else:
            shown.append(line)
        is_continued = line.endswith(("\\", " |")) and not shown
    yield Step(command, tuple(shown))


def expected_in(shown: tuple[str, ...], lines: list[str]) -> bool:
    """Say whether the lines of a page are among those printed, in order; `...` is anything."""
    rest = iter(lines)
    for line in shown:
        if line.strip() == "...":
            continue
        pattern = re.compile(".*".join(re.escape(part) for part in line.rstrip().split("...")))
        if not any(pattern.fullmatch(printed.rstrip()) for printed in rest):
            return False
    return True


def has_ended(lines: list[str]) -> bool:
    """Say whether the command that printed these lines is over."""
    return any(STATUS.search(line) for line in lines)


class Terminal:
    """A shell that is typed into. Close it."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._lines: list[str] = []
        self._arrived = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._type("trap : INT\n")
        self._from = 0

    def type_block(self, block: str) -> None:
        """Run the commands of a block, and check what the page shows of their output.

        Raises:
            AssertionError: the output is not what the page shows, or a command fails and the
                page does not show its status next.
        """
        steps = list(steps_of(block))
        for step, after in zip(steps, [*steps[1:], None], strict=True):
            if step.command == "^C":
                os.killpg(self._shell.pid, signal.SIGINT)
                self._wait(has_ended, step)
                continue
            if step.command:
                self._from = len(self._lines)
                self._type(f"{{ {step.command}\n}} </dev/null\n")
                self._type('__s=$?; echo "__status=${__s}__"; (exit $__s)\n')
            is_lasting = not step.command or (step.shown[:1] and "listening on" in step.shown[0])
            if is_lasting:
                self._wait(partial(expected_in, step.shown), step)
                continue
            lines = self._wait(has_ended, step)
            status = next(int(m[1]) for line in lines if (m := STATUS.search(line)))
            assert expected_in(step.shown, lines), f"{step}\n" + "\n".join(lines)
            shows_status = after is not None and after.command == "echo $?"
            assert status == 0 or shows_status, f"{step.command}: {status}\n" + "\n".join(lines)

    def close(self) -> None:
        """Interrupt what runs, and end the shell."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.close()
        os.killpg(self._shell.pid, signal.SIGINT)
        try:
            self._shell.wait(15)
        finally:
            if self._shell.poll() is None:
                os.killpg(self._shell.pid, signal.SIGKILL)
                self._shell.wait()
            self._reader.join(5)
            self._shell.stdout.close()

    def _type(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    def _read(self) -> None:
        assert self._shell.stdout is not None
        for line in self._shell.stdout:
            with self._arrived:
                self._lines.append(line.rstrip("\n"))
                self._arrived.notify_all()

    def _wait(self, is_there: Callable[[list[str]], bool], step: Step) -> list[str]:
        give_up_at = time.monotonic() + BOUND_S
        with self._arrived:
            while not is_there(lines := self._lines[self._from :]):
                left = give_up_at - time.monotonic()
                assert left > 0, f"{step}: not seen in\n" + "\n".join(lines)
                self._arrived.wait(left)
        return lines
