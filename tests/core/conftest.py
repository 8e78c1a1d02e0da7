"""The command line in the tests' own process."""

from __future__ import annotations

import pytest


@pytest.fixture
def core(capsys):
    """Run a command in this process: (exit status, stdout, stderr)."""
    from core.__main__ import main

    def run(*arguments):
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code
        found = capsys.readouterr()
        return status, found.out, found.err

    return run
