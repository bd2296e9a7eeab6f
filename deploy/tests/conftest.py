"""A local stack that reads request logs made here."""

from collections.abc import Iterator

import pytest

from deploy.tests.stack import Stack, write_logs
from loopback.local_stack import local_stack
from loopback.processes import end_on_termination


def pytest_configure() -> None:
    end_on_termination()


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    write_logs(folder / "logs")
    with local_stack(folder / "local-stack.log", "--logs", folder / "logs") as addresses:
        yield Stack(addresses)
