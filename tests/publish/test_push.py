"""What is pushed, and onto what nothing is."""

from pathlib import Path

import pytest
from publishing import (
    Hub,
    Repository,
    files_below,
    look,
)

from driftgate.builder.artifact import (
    CARD,
)
from driftgate.errors import PushError
from driftgate.publish.push import Destination, open_hub, push_folder, require_repository


def test_a_name_alone_is_the_owners_of_the_token() -> None:
    assert look(Hub(), "mini-onnx").repository == "ME/mini-onnx"


def test_a_repository_is_made_and_filled_in_one_commit(hub: Path) -> None:
    there = Hub()
    destination = look(there, private=True)
    assert push_folder(hub, destination, "Add it", there) == "hub/ME/mini-onnx"
    (create, made), (upload, pushed) = there.calls
    assert (create, upload) == ("create_repo", "upload_folder")
    assert made == {"repository": "ME/mini-onnx", "private": True, "exist_ok": False}
    assert (pushed["repo_id"], pushed["commit_message"]) == ("ME/mini-onnx", "Add it")
    assert {CARD, "onnx/model_quantized.onnx", "onnx/model_quantized.manifest.json"} <= pushed["files"]


def test_a_push_may_replace_what_an_earlier_one_wrote() -> None:
    files = (".gitattributes", CARD, "config.json", "onnx/model.onnx", "onnx/model.manifest.json",
             "onnx/model/test_data_set_0/input_0.pb", "onnx/test_data_set_0/input_0.pb")  # fmt: skip
    assert look(Hub({"ME/mini-onnx": Repository(files=files)})).exists


@pytest.mark.parametrize("foreign", ["model.safetensors", "onnx/model_fp16.onnx", "onnx/modeling.py"])
def test_a_repository_with_anything_else_is_refused(foreign: str) -> None:
    with pytest.raises(PushError, match=f"it holds {foreign}; choose another name"):
        look(Hub({"ME/mini-onnx": Repository(files=(CARD, "config.json", foreign))}))


def test_a_public_repository_does_not_become_private_by_a_push() -> None:
    with pytest.raises(PushError, match="the repository is public"):
        look(Hub({"ME/mini-onnx": Repository()}), private=True)
    assert look(Hub({"ME/mini-onnx": Repository(private=True)}), private=True).exists


@pytest.mark.parametrize("name", ["a/b/c", "a b", "-", "ME/", ""])
def test_what_is_no_hub_id_is_refused(name: str) -> None:
    with pytest.raises(PushError, match="expected a hub id such as OWNER/NAME"):
        require_repository(name)


def test_without_a_token_nothing_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(PushError, match=r"no token to write with; `hf auth login`, or set HF_TOKEN"):
        open_hub()


@pytest.mark.parametrize("error", [ConnectionError("no route to host"), OSError("Invalid user token.")])
def test_a_hub_that_does_not_answer_is_one_clear_error(error: Exception) -> None:
    with pytest.raises(PushError, match=f"{error}; check the token, the name, the network and HF_HUB_OFFLINE"):
        look(Hub(broken=error))


def test_a_failed_upload_says_how_to_try_again(hub: Path) -> None:
    before = files_below(hub)
    with pytest.raises(PushError, match=r"connection reset; the files stay in .*: `hf upload ME/mini-onnx"):
        push_folder(
            hub,
            Destination("ME/mini-onnx", None, exists=True),
            "Add it",
            Hub(broken=ConnectionError("connection reset")),
        )
    assert files_below(hub) == before
