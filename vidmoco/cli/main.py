"""The command line: runs a command and decides its exit code.

    0 done · 1 some videos failed · 2 the user's mistake · 130, 143, 129, 138, 140 stopped
    by Ctrl-C, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 · 141 the reader of the output ended, such as
    ``head``

1 comes from ``extract`` and ``prepare``, from findings of ``scan --verify`` and ``doctor``, and
from ``report`` where one of several sources cannot be read. ``evaluate``, ``search``, ``explore``
and ``report`` list what else they leave out and return 0.

Nothing heavy is imported before the flags are parsed, so ``--help`` answers at once.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from vidmoco.atomic_file import NO_ROOM, unwritable
from vidmoco.cli.commands import COMMANDS
from vidmoco.cli.flags import parse
from vidmoco.cli.help import HELP
from vidmoco.closed_streams import silence, write_if_read
from vidmoco.errors import ConfigError, VidmocoError, is_out_of_memory, nearest
from vidmoco.foreign_messages import escape_foreign_messages
from vidmoco.interrupt import Stopped
from vidmoco.text import error_line, memory_line

_PIPE_CLOSED = 141  # 128 + SIGPIPE, as for other programs


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command of ``argv`` and return its exit code. The default is ``sys.argv``."""
    escape_foreign_messages()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            write_if_read(sys.stdout, "", also_to_pipe=False)
    except BrokenPipeError:
        silence(sys.stdout)  # Python flushes it again at exit
        return _PIPE_CLOSED
    except SystemExit as exit_:
        if isinstance(exit_.__context__, BrokenPipeError):  # rich exits in this way
            return _PIPE_CLOSED
        raise


def _run(words: list[str]) -> int:
    if words[:1] == ["help"]:
        words = [*words[1:2], "--help"]
    if not words or words[0] in HELP:
        print(_overview())
        return 0
    if words[0] in ("-V", "--version"):
        from vidmoco import __version__

        print(f"vidmoco {__version__}")
        return 0
    return exit_code_of(lambda: _run_command(*words))


def _run_command(name: str, *words: str) -> int:
    command = COMMANDS.get(name)
    if command is None:
        raise ConfigError(
            f"Unknown command {name!r}.{nearest(name, COMMANDS)} Commands: {', '.join(COMMANDS)}."
        )
    return command.run(parse(command.settings, words, prog=f"vidmoco {name}"))


def exit_code_of(run: Callable[[], int]) -> int:
    """Run a command; return its exit code, or print what ended it and return that of the error."""
    try:
        return run()
    except Exception as error:
        told = _told(error)
        if told is None:
            raise
        write_if_read(sys.stderr, f"vidmoco: {told}\n")
        return 2
    except KeyboardInterrupt as error:
        write_if_read(sys.stderr, "vidmoco: stopped\n")
        return error.exit_code if isinstance(error, Stopped) else 130


def _told(error: Exception) -> str | None:
    """Return the message of an error of the user or the machine, or None for a bug of ours."""
    if isinstance(error, VidmocoError):
        return error_line(error)
    if is_out_of_memory(error):
        return error_line(memory_line(error))
    if isinstance(error, ImportError) and not isinstance(error, ModuleNotFoundError):
        return error_line(
            f"A library cannot be loaded: {error}. If a limit of memory forbids it (`ulimit -v`): "
            "PyTorch takes 6 GB of addresses. Otherwise install the library again."
        )
    if not isinstance(error, OSError):
        return None
    # Those of libraries that write files themselves.
    if error.strerror and "temporary directory" in error.strerror:
        advice = "A full disk, a limit on files (ulimit -f) or rights forbid it."
        return f"{error_line(error.strerror)}. {advice}"
    if error.errno not in NO_ROOM:
        return None
    path = Path(error.filename or "A file that this command needs")
    return error_line(unwritable(error, path, advice=" and try again."))


def _overview() -> str:
    lines = ["usage: vidmoco COMMAND [OPTIONS]", "", "Image backbones from unlabelled video.", ""]
    for name, command in COMMANDS.items():
        summary = (command.settings.__doc__ or "").split(". ")[0].rstrip(".")
        lines.append(f"  {name:<20}{summary}.")
    return "\n".join([*lines, "", "vidmoco COMMAND --help shows a command's options."])
