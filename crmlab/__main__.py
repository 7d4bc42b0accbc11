"""``python -m crmlab ...``: every command of the project, on any computer with a recent Python.

This file is read by whatever Python the reader happens to have, so it keeps to a syntax that old
ones understand until it has checked the version.
"""

import sys


def main(arguments: "list[str] | None" = None) -> int:
    """Run one command and return its exit code (0 = all is well)."""
    if sys.version_info < (3, 12):  # noqa: UP036 (old versions read this line, and it says so)
        version = ".".join(map(str, sys.version_info[:3]))
        sys.exit(
            f"crmlab needs Python 3.12 or newer (3.13 is best); this is {version}, {sys.executable}"
        )
    from crmlab.cli.commands import run_command

    try:
        return run_command(sys.argv[1:] if arguments is None else arguments)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
