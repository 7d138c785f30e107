"""The command group: what is imported when, and what a failing command prints."""

from __future__ import annotations

import errno
import subprocess
import sys
import types
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner, Result

from openaudiohook import __version__
from openaudiohook.cli import COMMANDS, main
from openaudiohook.exceptions import AudioHookError, ConfigurationError, EndpointError

pytestmark = pytest.mark.unit

Run = Callable[[BaseException | None], Result]


@pytest.fixture
def run_raising(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command that raises what the test says, as if it were one of ours."""

    def run(error: BaseException | None) -> Result:
        @click.command()
        def probe() -> None:
            if error is not None:
                raise error

        module = types.ModuleType("a_command_for_this_test")
        module.probe = probe  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, module.__name__, module)
        entry = COMMANDS["sign"]._replace(target=f"{module.__name__}:probe")
        monkeypatch.setitem(COMMANDS, "probe", entry)
        return CliRunner().invoke(main, ["probe"])

    return run


def test_a_command_that_returns_ends_with_0(run_raising: Run) -> None:
    assert run_raising(None).exit_code == 0


def test_our_own_error_is_one_line_and_exit_1(run_raising: Run) -> None:
    result = run_raising(EndpointError("endpoint a\nrefused", retryable=False))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: endpoint a refused\n"


def test_an_error_without_text_shows_its_type(run_raising: Run) -> None:
    assert run_raising(AudioHookError()).stderr == "Error: AudioHookError\n"


def test_a_configuration_error_is_wrong_usage(run_raising: Run) -> None:
    result = run_raising(ConfigurationError("a.toml, line 3: no such key"))
    assert result.exit_code == 2
    assert result.stderr == "Error: a.toml, line 3: no such key\n"


def test_an_error_from_within_a_task_group_is_shown_alike(run_raising: Run) -> None:
    result = run_raising(ExceptionGroup("tasks", [ConfigurationError("bad")]))
    assert (result.exit_code, result.stderr) == (2, "Error: bad\n")


def test_a_click_error_from_within_a_task_group_keeps_its_status(run_raising: Run) -> None:
    result = run_raising(ExceptionGroup("tasks", [click.UsageError("no such option")]))
    assert result.exit_code == 2
    assert "no such option" in result.stderr


def test_an_operating_system_error_names_the_file(run_raising: Run) -> None:
    result = run_raising(PermissionError(errno.EACCES, "Permission denied", "recordings"))
    assert (result.exit_code, result.stderr) == (1, "Error: recordings: Permission denied\n")


def test_an_operating_system_error_without_file_is_shown_too(run_raising: Run) -> None:
    result = run_raising(OSError(errno.ENOSPC, "No space left on device"))
    assert result.stderr == "Error: No space left on device\n"


def test_an_unforeseen_error_shows_neither_traceback_nor_its_text(run_raising: Run) -> None:
    result = run_raising(KeyError("tel:+15550100"))
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: unexpected KeyError, which is a bug")
    assert "15550100" not in result.output


def test_the_traceback_is_there_for_who_asks(
    run_raising: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAUDIOHOOK_TRACEBACK", "1")
    assert isinstance(run_raising(KeyError("x")).exception, KeyError)


def test_a_broken_pipe_is_no_traceback(run_raising: Run) -> None:
    result = run_raising(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert (result.exit_code, result.output) == (1, "")


def test_the_commands_are_listed_in_their_order() -> None:
    assert main.list_commands(click.Context(main)) == list(COMMANDS)


def test_ctrl_c_ends_with_130(run_raising: Run) -> None:
    result = run_raising(KeyboardInterrupt())
    assert (result.exit_code, result.output) == (130, "")


def test_an_exit_status_a_command_chose_is_kept(run_raising: Run) -> None:
    assert run_raising(click.exceptions.Exit(1)).exit_code == 1


def test_an_unknown_command_is_wrong_usage() -> None:
    result = CliRunner().invoke(main, ["listen"])
    assert result.exit_code == 2
    assert "No such command 'listen'" in result.stderr


def test_version_is_printed() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"openaudiohook {__version__}\n"


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help_lists_every_command(name: str) -> None:
    assert f"  {name} " in CliRunner().invoke(main, ["--help"]).output


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"Usage: main {name}" in result.output
    assert "  Exit status: 0 " in result.output


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_summary_is_what_the_command_says_of_itself(name: str) -> None:
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command is not None
    first = (command.help or "").partition("\n\n")[0]
    assert " ".join(first.split()) == COMMANDS[name].summary


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom openaudiohook.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'asyncio', 'numpy', 'msgspec', 'picows', 'rich', 'structlog', 'http_sf'}\n"
        "print('loaded:', *heavy & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.endswith("loaded:\n")


def test_a_reader_that_goes_away_causes_no_traceback() -> None:
    reader, writer = subprocess.PIPE, subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "openaudiohook", "--help"], stdout=writer, stderr=reader
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        complaint = process.stderr.read()
    assert complaint == b""
