"""Reads Grafana Alloy's configuration with Alloy's own parser, which takes Go."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.conformance import programs

PARSER = Path(__file__).with_name("alloyjson")


class SyntaxProblem(Exception):
    """Alloy would not read the file."""


@dataclass
class Block:
    name: str
    label: str
    attributes: dict[str, Any]
    blocks: list["Block"]


@dataclass(frozen=True)
class Reference:
    """The value of another component, or of a call with its arguments."""

    name: str
    arguments: tuple[Any, ...] | None = None


def parse(text: str) -> list[Block]:
    """The blocks of a file."""
    programs.fetch(PARSER)
    done = subprocess.run(["go", "run", "."], cwd=PARSER, input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SyntaxProblem(done.stderr)
    body = block(json.loads(done.stdout))
    if body.attributes:
        raise SyntaxProblem(f"attributes outside a block: {sorted(body.attributes)}")
    return body.blocks


def block(read: dict[str, Any]) -> Block:
    attributes = {name: value(one) for name, one in read["attributes"].items()}
    return Block(read["name"], read["label"], attributes, [block(one) for one in read["blocks"]])


def value(read: Any) -> Any:
    match read:
        case list():
            return [value(one) for one in read]
        case {"object": fields}:
            return {name: value(one) for name, one in fields.items()}
        case {"reference": name, "arguments": arguments}:
            return Reference(name, None if arguments is None else tuple(map(value, arguments)))
    return read
