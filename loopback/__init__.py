"""Runs the local stack and other programs on loopback, for clients/conformance, deploy and testing/trino."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
