"""Hooks of MkDocs: on the site, a link to a file outside `docs/` leads to that file in the repository."""

import posixpath
import re
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
_OUTWARD = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Replace `../studies/gate` and the like; a path that does not exist stays as it is, and the build reports it."""

    def replace(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), match[1]))
        if path.startswith(("..", "docs/")) or not (REPOSITORY / path).exists():
            return match[0]
        kind = "tree" if (REPOSITORY / path).is_dir() else "blob"
        return f"]({config.extra['repository']}/{kind}/main/{path}{match[2] or ''})"

    return _OUTWARD.sub(replace, markdown)
