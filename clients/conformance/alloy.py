"""Reads Grafana Alloy's configuration syntax: as much of it as clients/alloy uses.

Blocks, attributes, strings, numbers, lists, objects, references and calls, after
https://grafana.com/docs/alloy/latest/get-started/configuration-syntax/syntax/. Operators are not read.
"""

import json
import re
from dataclasses import dataclass, field

from report import expect

TOKEN = re.compile(r'\s+|//[^\n]*|(?P<token>"(?:[^"\\]|\\.)*"|[A-Za-z_][\w.]*|\d+(?:\.\d+)?|[{}\[\](),=])')
WORD = re.compile(r"[A-Za-z_]")


@dataclass
class Block:
    name: str
    label: str | None
    attributes: dict = field(default_factory=dict)
    blocks: list = field(default_factory=list)


@dataclass(frozen=True)
class Reference:
    """The value of another component, or of a call with its arguments."""

    name: str
    arguments: tuple | None = None


def parse(text):
    """The blocks of a file."""
    reader = Reader(text)
    body = reader.body(None)
    expect(not body.attributes, f"attributes outside a block: {sorted(body.attributes)}")
    return body.blocks


class Reader:
    def __init__(self, text):
        self.tokens = list(tokens(text))
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def take(self, wanted=None):
        token = self.peek()
        expect(token is not None and wanted in (None, token), f"{wanted or 'more'} expected, {token or 'the end'} found")
        self.at += 1
        return token

    def body(self, end):
        block = Block("", None)
        while self.peek() != end:
            name = self.take()
            expect(WORD.match(name), f"a name expected, {name} found")
            if self.peek() == "=":
                self.take("=")
                expect(name not in block.attributes, f"{name} is set twice")
                block.attributes[name] = self.value()
            else:
                label = json.loads(self.take()) if self.peek().startswith('"') else None
                self.take("{")
                inner = self.body("}")
                self.take("}")
                block.blocks.append(Block(name, label, inner.attributes, inner.blocks))
        return block

    def value(self):
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
        expect(WORD.match(token), f"a value expected, {token} found")
        if self.peek() != "(":
            return Reference(token)
        self.take("(")
        return Reference(token, tuple(self.items(")", self.value)))

    def pair(self):
        key = self.value()
        self.take("=")
        return (key.name if isinstance(key, Reference) else key), self.value()

    def items(self, end, item):
        found = []
        while self.peek() != end:
            found.append(item())
            if self.peek() != end:
                self.take(",")
        self.take(end)
        return found


def tokens(text):
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        expect(match, f"cannot read: {text[at : at + 40]!r}")
        if match["token"]:
            yield match["token"]
        at = match.end()
