"""What ships with a published model: each way in which a folder is not used as its model was judged, named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nested_pytest import change_json, read_results, run_pytest
from tiny_encoders import LABELS, SENTENCES, make_encoder

from driftgate.errors import UnsafeFileError
from driftgate.inputs.corpus import Corpus
from driftgate.inputs.encoder import Encoder, load_encoder
from driftgate.publish.tokenizer_file import write_tokenizer
from driftgate.publish.unjudged import build
from driftgate.verify.shipped import compare_shipped

REPOSITORY = Path(__file__).parents[2]
THRESHOLDS = dict(zip(LABELS, (0.2, 0.3, 0.4, 0.5), strict=True))
CORPUS = Corpus("comments", tuple(SENTENCES), tuple(f"line {row}" for row in range(1, len(SENTENCES) + 1)), None)


@pytest.fixture(scope="module")
def encoder(tiny_encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    """A tiny encoder with thresholds, whose tokenizer states its limit."""
    folder = shutil.copytree(tiny_encoder, tmp_path_factory.mktemp("encoders") / "with-thresholds")
    (folder / "thresholds.json").write_text(json.dumps({"thresholds": THRESHOLDS}), encoding="utf-8")
    change_json(folder / "tokenizer_config.json", lambda config: config.update(model_max_length=64))
    return load_encoder(folder)


@pytest.fixture(scope="module")
def good_folder(encoder: Encoder, shared_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `driftgate build` writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DRIFTGATE_CACHE", str(shared_cache))
        return build(encoder, "onnx-fp32", tmp_path_factory.mktemp("published") / "good")["onnx-fp32"]


@pytest.fixture
def folder(good_folder: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return shutil.copytree(good_folder, tmp_path / "shipped")


def differences(folder: Path, encoder: Encoder) -> dict[str, tuple[str, str]]:
    found = compare_shipped(folder / "model.onnx", encoder, CORPUS)
    assert not found.lacking
    return {difference.what: (difference.expected, difference.found) for difference in found.differences}


def lowercase(content: dict[str, Any]) -> None:
    content["normalizer"] = {"type": "Lowercase"}


def truncate_left(content: dict[str, Any]) -> None:
    content["truncation"] = {"direction": "Left", "max_length": 24, "strategy": "LongestFirst", "stride": 0}


# What passes


def test_what_build_writes_ships_as_it_was_judged(good_folder: Path, encoder: Encoder) -> None:
    assert differences(good_folder, encoder) == {}


def ship(encoder: Encoder, folder: Path) -> Path:
    """What `driftgate build` writes beside a model of the encoder; the model is not looked at."""
    folder.mkdir()
    shutil.copy2(encoder.path / "config.json", folder)
    write_tokenizer(encoder, folder)
    return folder


@pytest.mark.parametrize("family", ["albert", "bert", "deberta-v2", "modernbert", "mpnet", "xlm-roberta"])
def test_what_build_writes_of_other_families_does_too(family: str, tmp_path: Path) -> None:
    other = load_encoder(make_encoder(tmp_path / family, family))
    assert differences(ship(other, tmp_path / "out"), other) == {}


def test_models_in_hub_layout_share_the_folder_above(good_folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    hub = shutil.copytree(good_folder, tmp_path / "hub")
    (hub / "onnx").mkdir()
    (hub / "model.onnx").rename(hub / "onnx/model.onnx")
    found = compare_shipped(hub / "onnx/model.onnx", encoder, CORPUS)
    assert (found.lacking, found.differences) == ((), ())


def test_a_tokenizer_saved_again_is_the_same_one(folder: Path, encoder: Encoder) -> None:
    """Other files, the same tokens: transformers writes no truncation, the tokenizers library other white space."""
    content = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8")) | {
        "truncation": None,
        "padding": None,
    }
    (folder / "tokenizer.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    assert differences(folder, encoder) == {}


def test_a_manifest_of_another_tool_says_nothing(folder: Path, encoder: Encoder) -> None:
    (folder / "manifest.json").write_text('{"name": "a web page"}', encoding="utf-8")
    assert differences(folder, encoder) == {}


# What differs


def change(name: str, edit: Callable[[Any], object]) -> Callable[[Path], None]:
    return lambda folder: change_json(folder / name, edit)


NEXT = dict(zip(LABELS, (0.3, 0.4, 0.5, 0.2), strict=True))
FAULTS: dict[str, tuple[Callable[[Path], None], dict[str, tuple[str, str]]]] = {
    "truncation of the front": (
        change("tokenizer_config.json", lambda config: config.update(truncation_side="left")),
        {
            "truncation_side": ("'right'", "'left'"),
            "token ids": ("the encoder's for all 6 texts", "others for 1 of them (a text beyond the limit)"),
        },
    ),
    "another limit": (
        change("tokenizer_config.json", lambda config: config.update(model_max_length=24)),
        {
            "limit of tokens": ("64", "24"),
            "token ids": ("the encoder's for all 6 texts", "others for 1 of them (a text beyond the limit)"),
        },
    ),
    "no limit": (
        change("tokenizer_config.json", lambda config: config.pop("model_max_length")),
        {"limit of tokens": ("64", "none")},
    ),
    "labels in another order": (
        change("config.json", lambda config: config.update(id2label=dict(enumerate(("anger", "joy", *LABELS[2:]))))),
        {"id2label": ("0: joy, 1: anger", "0: anger, 1: joy")},
    ),
    "single label": (
        change("config.json", lambda config: config.update(problem_type="single_label_classification")),
        {"problem_type": ("multi_label_classification", "single_label_classification")},
    ),
    "no problem type": (
        change("config.json", lambda config: config.pop("problem_type")),
        {
            "problem_type": (
                "multi_label_classification", "none, which is taken as single_label_classification"
            )
        },
    ),
    "thresholds moved on by one label": (
        change("thresholds.json", lambda content: content.update(thresholds=NEXT)),
        {
            "thresholds.json": (
                "joy: 0.2, anger: 0.3, surprise: 0.4, neutral: 0.5", "joy: 0.3, anger: 0.4, surprise: 0.5, neutral: 0.2"
            )
        },
    ),
    "no thresholds": (
        lambda folder: (folder / "thresholds.json").unlink(),
        {
            "thresholds.json": (
                "joy: 0.2, anger: 0.3, surprise: 0.4, neutral: 0.5", "joy: none, anger: none, surprise: none, neutral: none"
            )
        },
    ),
    "another checkpoint": (
        change("manifest.json", lambda manifest: manifest.update(encoder_sha256="0" * 64, encoder="older")),
        {"encoder_sha256 in manifest.json": ("SHA256 of the encoder with-thresholds",
                                             f"{'0' * 64} of older: the model was made from another checkpoint")},
    ),
    "padding in front": (
        change("tokenizer_config.json", lambda config: config.update(padding_side="left")),
        {"padding_side": ("'right'", "'left'")},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_difference_is_named_with_both_sides(fault: str, folder: Path, encoder: Encoder) -> None:
    edit, expected = FAULTS[fault]
    edit(folder)
    found = differences(folder, encoder)
    assert found == {
        what: (before.replace("SHA256", encoder.sha256), after) for what, (before, after) in expected.items()
    }


def test_a_lowercasing_tokenizer_is_named(folder: Path, encoder: Encoder) -> None:
    """By the tokenizers library at least: transformers 5 makes this family's from its vocabulary and reads no normalizer."""
    change_json(folder / "tokenizer.json", lowercase)
    assert differences(folder, encoder)["token ids by tokenizer.json"] == (
        "the encoder's for all 6 texts",
        "others for 3 of them (line 2, line 5, a text beyond the limit)",
    )


def test_a_cased_tokenizer_beside_an_uncased_model_is_named(tmp_path: Path) -> None:
    uncased = load_encoder(make_encoder(tmp_path / "bert", "bert"))
    out = ship(uncased, tmp_path / "out")
    change_json(out / "tokenizer_config.json", lambda config: config.update(do_lower_case=False))
    change_json(out / "tokenizer.json", lambda content: content["normalizer"].update(lowercase=False))
    found = differences(out, uncased)
    assert set(found) == {"token ids", "token ids by tokenizer.json"}
    assert found["token ids"][1] == "others for 3 of them (line 2, line 5, a text beyond the limit)"


def test_truncation_in_tokenizer_json_is_named(folder: Path, encoder: Encoder) -> None:
    change_json(folder / "tokenizer.json", truncate_left)
    assert differences(folder, encoder)["truncation in tokenizer.json"] == (
        "max_length 64, direction right", "max_length 24, direction left"
    )  # fmt: skip


def test_another_padding_token_is_named_wherever_it_is_said(folder: Path, encoder: Encoder) -> None:
    change_json(folder / "tokenizer_config.json", lambda config: config.update(pad_token="<mask>"))  # noqa: S106
    change_json(folder / "special_tokens_map.json", lambda tokens: tokens.update(pad_token="<mask>"))  # noqa: S106
    change_json(folder / "tokenizer.json", lambda content: content["padding"].update(pad_id=4, pad_token="<mask>"))  # noqa: S106
    found = differences(folder, encoder)
    assert found["pad_token"] == ("'<pad>'", "'<mask>'")
    assert found["pad_token_id"] == ("1", "4")
    assert found["padding in tokenizer.json"][1] == "pad_id 4, pad_token <mask>, direction right"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.json", "{", "not valid JSON"),
        ("thresholds.json", '{"thresholds": {"joy": 0.5}}', "for exactly the labels of config.json"),
        ("tokenizer.json", "{}", "does not load"),
    ],
)
def test_a_folder_that_does_not_load_is_a_difference(
    name: str, content: str, message: str, folder: Path, encoder: Encoder
) -> None:
    (folder / name).write_text(content, encoding="utf-8")
    ((what, (_, found)),) = differences(folder, encoder).items()
    assert what == "the folder"
    assert message in found


# What is not there, and what is never read


def test_a_file_without_a_folder_of_its_own_lacks_what_would_be_compared(
    good_folder: Path, encoder: Encoder, tmp_path: Path
) -> None:
    (tmp_path / "alone/deep").mkdir(parents=True)
    model = shutil.copy2(good_folder / "model.onnx", tmp_path / "alone/deep")
    found = compare_shipped(Path(model), encoder, CORPUS)
    assert (found.lacking, found.differences) == (("config.json", "a tokenizer"), ())
    shutil.copy2(good_folder / "config.json", tmp_path / "alone/deep")
    assert compare_shipped(Path(model), encoder, CORPUS).lacking == ("a tokenizer",)


def test_the_manifest_is_read_of_a_file_alone_too(good_folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "alone/deep").mkdir(parents=True)
    for name in ("model.onnx", "manifest.json"):
        shutil.copy2(good_folder / name, tmp_path / "alone/deep")
    found = compare_shipped(tmp_path / "alone/deep/model.onnx", replace(encoder, sha256="1" * 64), CORPUS)
    assert [difference.what for difference in found.differences] == ["encoder_sha256 in manifest.json"]


@pytest.mark.parametrize("name", ["thresholds.json", "tokenizer.json", "manifest.json", "config.json"])
def test_a_link_out_of_the_folder_is_never_read(name: str, folder: Path, encoder: Encoder, tmp_path: Path) -> None:
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(UnsafeFileError, match="expected a file that lies in the model's folder"):
        compare_shipped(folder / "model.onnx", encoder, CORPUS)


def test_code_in_the_folder_is_not_run(folder: Path, encoder: Encoder) -> None:
    change_json(folder / "tokenizer_config.json", lambda config: config.update(auto_map={"AutoTokenizer": "own.Own"}))
    (folder / "own.py").write_text("raise SystemExit('code was run')", encoding="utf-8")
    with pytest.raises(UnsafeFileError, match="comes with code of its own"):
        compare_shipped(folder / "model.onnx", encoder, CORPUS)


# In the suite


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The test of what ships, alone."""
    folder = tmp_path / "project"
    (folder / "accuracy").mkdir(parents=True)
    for name in ("__init__.py", "test_shipped.py"):
        shutil.copy2(REPOSITORY / "accuracy" / name, folder / "accuracy")
    (folder / "corpus.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in SENTENCES), encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    return folder


def judge(project: Path, cache: Path, encoder: Encoder, backends: str) -> tuple[int, str]:
    given = ["accuracy", f"--encoder={encoder.path}", "--corpus=corpus.jsonl", f"--backends={backends}", "-rs"]
    code, output = run_pytest(project, [*given, "-p", "no:cacheprovider"], cache)
    return code, " ".join(output.split())


@pytest.mark.parametrize("named", ["", "model.onnx"], ids=["folder", "file"])
def test_a_good_folder_passes(named: str, project: Path, folder: Path, encoder: Encoder, warm_cache: Path) -> None:
    code, output = judge(project, warm_cache, encoder, f"mine={folder / named}")
    assert code == 0, output
    assert "1 passed" in output


def test_a_folder_that_is_used_otherwise_fails_with_everything_that_differs(
    project: Path, folder: Path, encoder: Encoder, warm_cache: Path
) -> None:
    """Labels too, for which the backend itself is refused."""
    faults = ("truncation of the front", "single label", "thresholds moved on by one label", "labels in another order")
    for fault in (*faults, "another checkpoint"):
        FAULTS[fault][0](folder)
    change_json(folder / "tokenizer.json", lowercase)
    code, output = judge(project, warm_cache, encoder, f"mine={folder}")
    assert code == 1, output
    for what in ("truncation_side", "problem_type", "thresholds.json", "id2label", "encoder_sha256", "token ids"):
        assert f"{what}" in output
    document = read_results(project)
    found = {difference["what"] for difference in document["backends"]["mine"]["shipped"]["differences"]}
    assert {"truncation_side", "problem_type", "thresholds.json", "id2label"} < found
    entry = document["backends"]["mine"]
    assert (entry["checks"], entry["failed_checks"], entry["verdict"]) == (1, 1, "fail")


def test_a_model_alone_is_said_to_be_judged_by_its_graph_alone(
    project: Path, encoder: Encoder, good_folder: Path, warm_cache: Path, tmp_path: Path
) -> None:
    (tmp_path / "alone/deep").mkdir(parents=True)
    model = shutil.copy2(good_folder / "model.onnx", tmp_path / "alone/deep")
    code, output = judge(project, warm_cache, encoder, f"mine={model}")
    assert code == 7, output
    assert "comes without config.json and a tokenizer, so the model was judged by its graph alone" in output


def test_where_nothing_was_published_the_test_is_not_collected(
    project: Path, encoder: Encoder, warm_cache: Path
) -> None:
    code, output = judge(project, warm_cache, encoder, "onnx-fp32")
    assert code == 7
    assert "1 deselected" in output
