"""Keys of the plugin's state in `config.stash`."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from driftgate.plugin.session import DriftgateSession

SESSION: "pytest.StashKey[DriftgateSession]" = pytest.StashKey()
