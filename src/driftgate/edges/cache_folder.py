"""Where things are kept that would take long to make again."""

import os
from pathlib import Path

ENVIRONMENT_VARIABLE = "DRIFTGATE_CACHE"


def cache_folder() -> Path:
    """`DRIFTGATE_CACHE`, or the platform's cache folder for the user."""
    given = os.environ.get(ENVIRONMENT_VARIABLE)
    if given:
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("driftgate", appauthor=False)
