"""Where cargo puts what is measured."""

import json
import subprocess
from pathlib import Path

from loopback import ROOT


def bench(name: str, *options: str) -> Path:
    """A bench's program, built where it is not."""
    command = ["cargo", "bench", "--locked", "--no-run", "--message-format=json", "--bench", name, *options]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    [found] = [
        message["executable"]
        for message in messages
        if message["reason"] == "compiler-artifact"
        and (message["target"]["kind"], message["target"]["name"]) == (["bench"], name)
    ]
    return Path(found)
