"""The release before this one, to rehearse an upgrade from it: BEFORE=v0.1.0 names it, a tag or a commit."""

import os
import subprocess
from pathlib import Path

from loopback import ROOT


def checked_out(work: Path) -> tuple[str, Path] | None:
    """Its name, and a folder with its files. None where none is named."""
    name = os.environ.get("BEFORE")
    if not name:
        return None
    # A folder for each commit: cargo takes older files than it has built from for unchanged.
    command = ["git", "rev-parse", "--verify", f"{name}^{{commit}}"]
    folder = work / f"before-{subprocess.check_output(command, cwd=ROOT, text=True).strip()}"
    if not folder.exists():
        files = subprocess.run(["git", "archive", name], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        folder.mkdir(parents=True)
        subprocess.run(["tar", "--extract", "--directory", folder], input=files, check=True)
    return name, folder
