"""The lines with curl in docs/api.md and with jq in docs/clients.md, on real answers."""

import os
import re
import shlex
import shutil
import subprocess
import urllib.request

import pytest

from clients.conformance.stack import CHAT, Stack
from loopback import ROOT

SECTION = (
    (ROOT / "docs" / "clients.md").read_text().partition("\n## On call, with curl and jq\n")[2].partition("\n## ")[0]
)
CURLS = re.findall(r"^    \$ (curl .+)\n((?:    [^$\n].*\n)*)", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE)
LINES = re.findall(r"^    \$ (jq .+) figures\.json$", SECTION, re.MULTILINE)


@pytest.fixture(scope="module")
def figures(stack: Stack) -> bytes:
    url = f"http://{stack.address}/v1/endpoints/metrics?endpoint={CHAT}"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {stack.new_key()}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_page_says_something_of_each_thing_it_names(figures: bytes, line: str) -> None:
    assert shutil.which("jq"), "jq is not installed"
    done = subprocess.run(shlex.split(line), input=figures, stdout=subprocess.PIPE, check=True)
    shown = done.stdout.decode()
    assert shown.strip()
    assert "null" not in shown, shown


def test_the_page_answers_four_questions() -> None:
    assert len(re.findall(r"^[A-Z].*\?$", SECTION, re.MULTILINE)) == 4
    assert len(LINES) >= 4


@pytest.mark.parametrize(("line", "shown"), CURLS)
def test_a_call_of_the_page_answers_with_what_is_shown(stack: Stack, line: str, shown: str) -> None:
    environment = {**os.environ, "WAFER_API": f"http://{stack.address}", "WAFER_API_KEY": stack.new_key()}
    command = ["bash", "-euo", "pipefail", "-c", line]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    names = re.findall(r'"\w+":|^\w[\w.,-]+', "\n".join(line.strip() for line in shown.splitlines()), re.MULTILINE)
    assert names
    assert not [name for name in names if name not in done], done
