"""Documents against types that are published for TypeScript alone.

Each document becomes a TypeScript literal, so that the compiler finds unknown keys, missing keys and values of a wrong
type.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from loopback.processes import Command


def literal(name: str, type_name: str, value: Any) -> str:
    return f"export const {name}: {type_name} = {json.dumps(value, indent=1)};"


def compile_types(name: str, lines: Sequence[str], node_modules: Path) -> None:
    source = node_modules.parent / f"{name}.ts"
    source.write_text("\n".join(lines))
    command: Command = [
        node_modules / ".bin" / "tsc",
        *("--noEmit", "--strict", "--skipLibCheck", "--ignoreConfig"),
        *("--module", "esnext", "--moduleResolution", "bundler", "--target", "es2022"),
        source,
    ]
    done = subprocess.run(
        command, cwd=node_modules.parent, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    assert done.returncode == 0, done.stdout
