"""What several test files share: a tiny encoder, caches, real texts where this machine has them."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tiny_encoders import make_encoder

from driftgate.edges.cache_folder import cache_folder

pytest_plugins = ["pytester"]

os.environ.pop("DRIFTGATE_DEBUG", None)  # a test that wants stacks sets it
# A test's own run of pytest is no worker of the run around it.
for name in ("PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_XDIST_TESTRUNUID"):
    os.environ.pop(name, None)
# Many tests start processes of their own, each of which would otherwise compile this package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

MakeEncoder = Callable[..., Path]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A multi-label encoder of four labels. Shared: copy it (`copy_encoder`) before changing anything."""
    return make_encoder(tmp_path_factory.mktemp("encoders") / "tiny-roberta")


@pytest.fixture
def copy_encoder(tiny_encoder: Path, tmp_path: Path) -> Callable[..., Path]:
    """`copy_encoder(problem_type=None, ...)`: a copy whose config.json has these keys changed; None removes one."""
    import shutil

    def copy(**changes: object) -> Path:
        folder = tmp_path / "encoder"
        shutil.copytree(tiny_encoder, folder)
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        for key, value in changes.items():
            config.pop(key, None)
            if value is not None:
                config[key] = value
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        return folder

    return copy


@pytest.fixture(scope="session")
def make_tiny_encoder() -> MakeEncoder:
    """`make_tiny_encoder(folder, family, labels=..., problem_type=..., seed=...)`: save a new one."""
    return make_encoder


@pytest.fixture(scope="session")
def shared_cache() -> Path:
    """One cache for every test that only needs artifacts to be there, kept from run to run.

    An entry is named by all that it is made from, the code of its build steps included, and is verified before it is used; tiny
    encoders are the same bytes every time. Tests of building itself use `empty_cache`.
    """
    return cache_folder() / "tests"


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("DRIFTGATE_CACHE", str(folder))
    return folder


@pytest.fixture
def warm_cache(shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shared cache, in force."""
    monkeypatch.setenv("DRIFTGATE_CACHE", str(shared_cache))
    return shared_cache


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Real GoEmotions and Reddit files, where this machine has them."""
    candidates = [os.environ.get("DRIFTGATE_DATA", ""), Path(__file__).parents[0] / "shared/data"]
    for candidate in candidates:
        if candidate and (Path(candidate) / "goemotions/dev.tsv").is_file():
            return Path(candidate)
    pytest.skip("no GoEmotions files here; DRIFTGATE_DATA names the folder that has them")


@pytest.fixture
def add_work(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """`add_work(source, target, columns)` of the gate's study."""
    import importlib

    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "studies/gate"))
    module: ModuleType = importlib.import_module("variants")
    yield module.add_work
    for name in ("variants", "parameters"):
        sys.modules.pop(name, None)
