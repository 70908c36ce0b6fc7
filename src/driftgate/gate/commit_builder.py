"""Builds a commit's baseline for `commit`: `python -m driftgate.gate.commit_builder`, asked in lines of JSON.

The worktree belongs to this process, which ends with its standard input, however the one that asks was ended: then it ends the
build too, and removes the worktree. `"checkout"` makes it; `"build"` runs pytest in it.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock
from typing import Any

from driftgate.edges.processes import Process, run_git, run_python
from driftgate.measure.remote import serve

_PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class _Build:
    """What has to be undone. Nothing is begun while it is.

    Args:
        top: of the repository. `scratch`: folder of the worktree, and what the build leaves. `process`: pytest's, once it runs.
    """

    top: Path | None = None
    scratch: Path | None = None
    process: Process | None = None
    beginning: Lock = field(default_factory=Lock)

    def check_out(self, top: Path, sha: str) -> dict[str, Any]:
        with self.beginning:
            self.top, self.scratch = top, Path(mkdtemp(prefix="driftgate-")).resolve()
            tree = self.scratch / "tree"
            # The user's hooks are not for this: a post-checkout hook may do anything.
            arguments = ("-c", f"core.hooksPath={os.devnull}", "worktree", "add", "--detach", str(tree), sha)
            done = run_git(top, *arguments)
        return {
            "code": done.returncode,
            "output": done.stdout,
            "tree": str(tree),
            "scratch": str(self.scratch / "build"),
        }

    def build(self, arguments: list[str], folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
        self.beginning.acquire()
        done = run_python(
            "pytest", *arguments, folder=folder, environment=environment, errors_apart=False, started=self._begun
        )
        return {"code": done.returncode, "output": done.stdout}

    def _begun(self, process: Process) -> None:
        self.process = process
        self.beginning.release()

    def undo(self) -> None:
        self.beginning.acquire(timeout=_PATIENCE_SECONDS)  # and for good
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self.scratch is not None and self.top is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            run_git(self.top, "worktree", "prune")


def _answer(request: Mapping[str, Any], build: _Build) -> object:
    if request["do"] == "checkout":
        return build.check_out(Path(request["top"]), request["sha"])
    return build.build(request["arguments"], Path(request["folder"]), request["environment"])


if __name__ == "__main__":
    builds = _Build()
    serve(lambda request: _answer(request, builds), at_end=builds.undo)
