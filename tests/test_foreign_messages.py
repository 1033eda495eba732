import subprocess
import sys

import pytest

CASES = {
    "a warning": "import warnings; warnings.warn('a\\x1b[31mb')",
    "a log record": "import logging; logging.getLogger('timm').warning('a\\x1b[31mb')",
    "an exception": "raise KeyError('x') from ValueError('a\\x1b[31mb\\nc\\u202e')",
}


@pytest.mark.parametrize("case", CASES)
def test_what_libraries_print_is_escaped_too(case):
    code = "from vidmoco.foreign_messages import escape_foreign_messages as f; f()\n" + CASES[case]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "\x1b" not in done.stderr and "\u202e" not in done.stderr
    assert "a\\x1b[31mb" in done.stderr
    assert done.returncode == (case == "an exception")
