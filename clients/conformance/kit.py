"""The files that customers paste, filled in as a customer would."""

from pathlib import Path

from report import expect

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = ROOT / "clients"
# What the Makefile and obtain.py install for the test alone.
CACHE = ROOT / "target" / "conformance"

HOST = "api.example.com"
ENDPOINTS = ("my-endpoint.example.com", "my-other-endpoint.example.com")
KEY_FILE = "/etc/wafer/api-key"
MARK = "CHANGE:"
MARK_IN_PROSE = "marked CHANGE"


def read(name):
    return (CLIENTS / name).read_text()


def filled_in(name, address, endpoints, key_file=None, interval=None):
    """A configuration with the marked lines changed, on plain HTTP, and at another interval where one is given.

    Everything else stays as it is shipped.
    """
    text = read(name)
    changes = {HOST: address, **dict(zip(ENDPOINTS, endpoints))}
    if key_file:
        changes[KEY_FILE] = str(key_file)
    if interval:
        changes["_interval: 60s"] = f"_interval: {interval}"
    changes["https"] = "http"
    for placeholder, value in changes.items():
        expect(placeholder in text, f"{name} has no {placeholder}")
        text = text.replace(placeholder, value)
    return text


def check_marks(name):
    """Each line to change is marked and holds a placeholder, and no placeholder stands in an unmarked line."""
    lines = read(name).splitlines()
    expect(any(MARK_IN_PROSE in line for line in lines), f"{name} does not say what to change")
    expect(any("Success:" in line for line in lines), f"{name} does not say what success looks like")
    marked = [line for line in lines if MARK in line]
    expect(2 <= len(marked) <= 3, f"{name} marks {len(marked)} lines to change")
    for line in lines:
        comment = line.lstrip().startswith(("#", "//"))
        for placeholder in (HOST, *ENDPOINTS, KEY_FILE):
            expect(comment or placeholder not in line or MARK in line, f"{name}: {placeholder} stands in a line that is not marked: {line}")
