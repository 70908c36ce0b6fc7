"""What publishing is tried with: backends, texts, and a hub that keeps what is pushed."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from driftgate.backends import REGISTRY
from driftgate.inputs.corpus import Corpus
from driftgate.publish.push import Destination, find_destination
from driftgate.run.device import RunSettings

FP32, FP16, INT8 = REGISTRY["onnx-fp32"], REGISTRY["onnx-fp16"], REGISTRY["onnx-int8"]


ONE_THREAD = RunSettings(1)


RARE_WORD = "zanzibar"


WORDS = (f"thank you so much, this made my day {RARE_WORD}", "the bus was late again and it rained", "what a game!")


TEXTS = tuple(f"{text} {number}" for number in range(40) for text in WORDS)


CORPUS = Corpus("mine", TEXTS, tuple(map(str, range(len(TEXTS)))), labels=None)


def never(*_arguments: object, **_options: object) -> NoReturn:
    pytest.fail("called, though a mistake should have ended it before")


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Repository:
    """What `HfApi.model_info` answers, as far as it is read."""

    private: bool = False
    files: tuple[str, ...] = ()

    @property
    def siblings(self) -> list[Any]:
        return [type("Sibling", (), {"rfilename": name}) for name in self.files]


@dataclass
class Hub:
    """Shaped like `HfApi`; remembers what was asked of it."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    broken: Exception | None = None
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def whoami(self) -> dict[str, str]:
        if self.broken:
            raise self.broken
        return {"name": "ME"}

    def model_info(self, repository: str) -> Repository:
        if repository not in self.repositories:
            raise RepositoryNotFoundError("404", response=type("Response", (), {"headers": {}, "request": None})())
        return self.repositories[repository]

    def create_repo(self, repository: str, **options: Any) -> str:
        self.calls.append(("create_repo", {"repository": repository, **options}))
        return f"hub/{repository}"

    def upload_folder(self, **options: Any) -> None:
        if self.broken:
            raise self.broken
        self.calls.append(("upload_folder", {**options, "files": files_below(options["folder_path"])}))


def look(hub: Hub, repository: str = "ME/mini-onnx", *, private: bool = False) -> Destination:
    return find_destination(repository, ["onnx/model.onnx"], ["config.json"], private=private, api=hub)
