"""The release before this one, to rehearse an upgrade from it.

The environment names it (BEFORE=v0.1.0); else it is the newest tag of a version, else the commit before.
"""

import os
import subprocess
from pathlib import Path

from loopback import ROOT


def checked_out(work: Path) -> tuple[str, Path] | None:
    """Its name, and a folder with its files. None where the history is not there."""
    name = (
        os.environ.get("BEFORE")
        or git("describe", "--tags", "--abbrev=0", "--match=v*", "HEAD^")
        or git("rev-parse", "--verify", "HEAD^")
    )
    if not name:
        return None
    # A folder for each commit: cargo takes older files than it has built from for unchanged.
    folder = work / f"before-{git('rev-parse', f'{name}^{{commit}}')}"
    if not folder.exists():
        files = subprocess.run(["git", "archive", name], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        folder.mkdir(parents=True)
        subprocess.run(["tar", "--extract", "--directory", folder], input=files, check=True)
    return name, folder


def git(*arguments: str) -> str:
    """What it prints; nothing where it fails."""
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""
