"""Reads Grafana Alloy's configuration syntax: as much of it as clients/alloy uses.

Blocks, attributes, strings, numbers, lists, objects, references and calls, after
https://grafana.com/docs/alloy/latest/get-started/configuration-syntax/syntax/. Operators are not read.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

Item = TypeVar("Item")

TOKEN = re.compile(r'\s+|//[^\n]*|(?P<token>"(?:[^"\\]|\\.)*"|[A-Za-z_][\w.]*|\d+(?:\.\d+)?|[{}\[\](),=])')
WORD = re.compile(r"[A-Za-z_]")


class SyntaxProblem(Exception):
    """The file is not written in the syntax above."""


@dataclass
class Block:
    name: str
    label: str | None
    attributes: dict[str, Any] = field(default_factory=dict)
    blocks: list["Block"] = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """The value of another component, or of a call with its arguments."""

    name: str
    arguments: tuple[Any, ...] | None = None


def parse(text: str) -> list[Block]:
    """The blocks of a file."""
    reader = Reader(text)
    body = reader.body(None)
    if body.attributes:
        raise SyntaxProblem(f"attributes outside a block: {sorted(body.attributes)}")
    return body.blocks


class Reader:
    def __init__(self, text: str) -> None:
        self.tokens = list(tokens(text))
        self.at = 0

    def peek(self) -> str | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, wanted: str | None = None) -> str:
        token = self.peek()
        if token is None or wanted not in (None, token):
            raise SyntaxProblem(f"{wanted or 'more'} expected, {token or 'the end'} found")
        self.at += 1
        return token

    def word(self, what: str, token: str) -> str:
        if not WORD.match(token):
            raise SyntaxProblem(f"{what} expected, {token} found")
        return token

    def body(self, end: str | None) -> Block:
        block = Block("", None)
        while self.peek() != end:
            name = self.word("a name", self.take())
            token = self.take()
            if token == "=":
                if name in block.attributes:
                    raise SyntaxProblem(f"{name} is set twice")
                block.attributes[name] = self.value()
                continue
            label = None
            if token.startswith('"'):
                label = json.loads(token)
                token = self.take()
            if token != "{":
                raise SyntaxProblem(f"{{ expected, {token} found")
            inner = self.body("}")
            self.take("}")
            block.blocks.append(Block(name, label, inner.attributes, inner.blocks))
        return block

    def value(self) -> Any:
        token = self.take()
        if token == "[":
            return self.items("]", self.value)
        if token == "{":
            return dict(self.items("}", self.pair))
        if token.startswith('"'):
            return json.loads(token)
        if token in ("true", "false"):
            return token == "true"
        if token[0].isdigit():
            return float(token)
        name = self.word("a value", token)
        if self.peek() != "(":
            return Reference(name)
        self.take("(")
        return Reference(name, tuple(self.items(")", self.value)))

    def pair(self) -> tuple[str, Any]:
        key = self.value()
        self.take("=")
        return (key.name if isinstance(key, Reference) else key), self.value()

    def items(self, end: str, item: Callable[[], Item]) -> list[Item]:
        found = []
        while self.peek() != end:
            found.append(item())
            if self.peek() != end:
                self.take(",")
        self.take(end)
        return found


def tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if not match:
            raise SyntaxProblem(f"unreadable: {text[at : at + 40]!r}")
        if match["token"]:
            yield match["token"]
        at = match.end()
