"""What each client shows of a 401, 403, 429 and 502, that it goes on by itself, and how it takes a new key.

The answers are real: of a key that is revoked, that owns other endpoints, or that others use up, and of a stack that
cannot read its figures.
"""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest

from clients.conformance import contract
from clients.conformance.faults import FAILS, Faults
from clients.conformance.scrapers import CLIENTS, ENDPOINTS, Client
from clients.conformance.stack import CHAT, IDLE, Stack
from loopback import ROOT
from loopback.processes import wait_for

PAGE = (ROOT / "docs" / "clients.md").read_text()
STATUSES = (401, 403, 502, 429)
# A slot that others have taken is free a minute later.
SECONDS = 120
# A call holds its slot for 59 s, and a client makes its last one with the old key within an interval.
UNUSED_SECONDS = 59 + 10 + 5
CALL = f"{contract.PATH}?endpoint={CHAT}"

# What a client says of an answer.
Said = dict[tuple[str, int], str]


@dataclass
class Running:
    clients: dict[str, Client]
    files: dict[str, Path]

    def keys(self) -> dict[str, str]:
        return {name: path.read_text().strip() for name, path in self.files.items()}

    def wait_until_up(self, after: str) -> None:
        for name, one in self.clients.items():
            wait_for(f"{name} is up after {after}", one.is_up, SECONDS)


@pytest.fixture(scope="module")
def running(faulty: tuple[Stack, Faults], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    stack, _ = faulty
    files = {name: stack.new_key_file(f"refused-{name}") for name in CLIENTS}
    with contextlib.ExitStack() as started:
        clients = {
            name: started.enter_context(start(stack, tmp_path_factory.mktemp("refused"), files[name]))
            for name, start in CLIENTS.items()
        }
        running = Running(clients, files)
        running.wait_until_up("its start")
        yield running


@contextlib.contextmanager
def refused(stack: Stack, faults: Faults, keys: list[str], status: int) -> Iterator[Callable[[], None]]:
    """While it lasts scrapes get this answer. Yields what must be done again and again for that."""

    def put_keys(endpoints: tuple[str, ...], revoked: bool = False) -> None:
        for key in keys:
            stack.put_key(key, endpoints, revoked=revoked)

    def use_up() -> None:
        for key in keys:
            while stack.status(CALL, key) == 200:
                pass

    match status:
        case 401:
            put_keys(ENDPOINTS, revoked=True)
        case 403:
            put_keys((IDLE,))
        case 429:
            yield use_up
        case 502:
            with faults("Query rollups", FAILS):
                yield lambda: None
    if status in (401, 403):
        yield lambda: None
        put_keys(ENDPOINTS)


@pytest.fixture(scope="module")
def said(faulty: tuple[Stack, Faults], running: Running) -> Said:
    """What each client says while each answer lasts. Before and after they are up."""
    stack, faults = faulty
    said: Said = {}
    for status in STATUSES:
        before = {name: one.says() for name, one in running.clients.items()}
        with refused(stack, faults, list(running.keys().values()), status) as keep_on:
            for name, one in running.clients.items():
                said[name, status] = wait_for(
                    f"{name} shows a {status}",
                    partial(what_it_says, one, before[name], status, keep_on),
                    SECONDS,
                    pause=0.2,
                )
        running.wait_until_up(f"the {status} is over")
    return said


def what_it_says(client: Client, before: str, status: int, keep_on: Callable[[], None]) -> str:
    """Nothing before it shows the answer."""
    keep_on()
    if client.is_up():
        return ""
    now = client.says().removeprefix(before)
    return now if str(status) in now else ""


def rows_under(heading: str) -> dict[str, str]:
    """The last cell of each row of a table of the page, by the first."""
    section = re.split(r"\n##+ ", PAGE.partition(f" {heading}\n")[2])[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {row[0]: row[-1] for row in rows[1:]}


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_says_what_the_page_has_and_goes_on(said: Said, client: str, status: int) -> None:
    phrase = HTTPStatus(status).phrase
    wanted = (
        rows_under("What your client shows")[client]
        .strip("`")
        .replace("401", str(status))
        .replace("Unauthorized", phrase)
    )
    if status >= 500:
        wanted = wanted.replace("Client Error", "Server Error")
    pattern = ".*".join(re.escape(part.strip()) for part in wanted.split("…"))
    assert re.search(pattern, said[client, status]), f"{client} says {said[client, status]}"


@pytest.mark.parametrize("heading", ["What your client shows", "To rotate a key"])
def test_the_page_has_each_client_that_is_run(heading: str) -> None:
    assert rows_under(heading).keys() == CLIENTS.keys()


@dataclass
class Rotated:
    """`left` is what one call with the old key showed, `up` whether the client goes on without that key."""

    left: int
    up: bool


@pytest.fixture(scope="module")
def rotated(faulty: tuple[Stack, Faults], running: Running, said: Said) -> dict[str, Rotated]:
    """The recipe of the page: a second key in the same file, one call with the old one a minute later, and its end."""
    stack, _ = faulty
    old = running.keys()
    for path in running.files.values():
        path.write_text(stack.new_key() + "\n")
    end = time.monotonic() + UNUSED_SECONDS
    while time.monotonic() < end:
        # It runs when it is asked.
        running.clients["Datadog Agent"].is_up()
        time.sleep(1)
    left = {name: stack.calls_left(CALL, key) for name, key in old.items()}
    for key in old.values():
        stack.put_key(key, ENDPOINTS, revoked=True)
        assert stack.status(CALL, key) == 401
    before = {name: one.says() for name, one in running.clients.items()}
    wait_for("Telegraf is refused", lambda: bool(shows_401(running, before, "Telegraf")), SECONDS)
    refused = [name for name in CLIENTS if shows_401(running, before, name)]
    return {name: Rotated(left[name], name not in refused) for name in CLIENTS}


def shows_401(running: Running, before: dict[str, str], name: str) -> bool:
    return bool(what_it_says(running.clients[name], before[name], 401, lambda: None))


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_takes_a_new_key_when_the_page_says(rotated: dict[str, Rotated], client: str) -> None:
    of_the_page = rows_under("To rotate a key")[client]
    one = rotated[client]
    if of_the_page.startswith("at its next scrape"):
        assert one.left == 5, one
    needs_restart = of_the_page.startswith("after a restart")
    if needs_restart:
        assert one.left < 5, one
    assert one.up != needs_restart, one


def test_the_recipe_to_rotate_a_key_shows_what_is_left(stack: Stack) -> None:
    [line] = re.findall(r"^ +\$ (curl .*OLD_WAFER_API_KEY.*)$", PAGE, re.MULTILINE)
    line = line.replace("https://api.example.com", f"http://{stack.address}")
    line = line.replace("my-endpoint.example.com", CHAT)
    environment = {**os.environ, "OLD_WAFER_API_KEY": stack.new_key()}
    shown = [
        subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    ]
    assert shown[0].startswith('ratelimit: "per-key";r=5;t=')
    assert shown[1].startswith('ratelimit: "per-key";r=4;t=')
