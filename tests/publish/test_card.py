"""The model card: metadata that the hub reads, and no number under another's name."""

import re
from dataclasses import replace

import pytest
import yaml
from cards import PLANS, REVISION, ROWS, make_card, make_variant, measure
from huggingface_hub import ModelCard

from driftgate.backends import Precision
from driftgate.inputs.encoder import ProblemType
from driftgate.judge.parts import DRIFT, FLIPS, QUALITY
from driftgate.publish.card import check_card, render_card


def metadata(text: str) -> dict[str, object]:
    """What stands between the rules, by a YAML reader that is not the hub's."""
    return yaml.safe_load(text.split("---\n")[1])


def row(text: str, heading: str) -> list[str]:
    """The cells behind the first one of the only row that begins with `heading`."""
    (line,) = [line for line in text.splitlines() if line.startswith(f"| {heading} |")]
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[2:-1]]


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


# Metadata


def test_the_metadata_has_what_the_hub_filters_by() -> None:
    found = metadata(render_card(make_card()))
    assert (found["library_name"], found["pipeline_tag"]) == ("onnx", "text-classification")
    assert {"onnx", "text-classification", "int8"} <= set(found["tags"])
    assert "4-bit" not in found["tags"]


def test_a_file_with_4_bit_weights_is_tagged_as_the_hub_tags_them() -> None:
    variant = make_variant(measure())
    variant = replace(variant, artifact=replace(variant.artifact, precision=Precision.INT4_BLOCKWISE))
    tags = metadata(render_card(make_card(variant)))["tags"]
    assert "4-bit" in tags
    assert "int8" not in tags


def test_the_model_index_reads_back_as_what_was_measured() -> None:
    measured = measure()
    found = ModelCard(render_card(make_card(make_variant(measured)))).data.eval_results
    values = {result.metric_name: result.metric_value for result in found}
    for policy, both in measured.require(QUALITY).items():
        quality = both.backend
        assert values[f"macro F1 {policy}, model.onnx"] == round(quality.macro_f1, 4)
        assert values[f"micro F1 {policy}, model.onnx"] == round(quality.micro_f1, 4)
        assert values[f"subset accuracy {policy}, model.onnx"] == round(quality.subset_accuracy, 4)
    assert {result.metric_type for result in found} == {"f1", "accuracy"}
    assert {result.dataset_type for result in found} == {"reviews"}


def test_without_labels_there_are_no_results_and_the_card_says_so() -> None:
    text = render_card(make_card(make_variant(measure(labelled=False))))
    assert "model-index" not in metadata(text)
    assert "Not measured, because the texts that it was judged on have no labels" in text
    assert "right to wrong" not in text


def test_a_hub_encoder_is_named_as_the_base_with_its_commit() -> None:
    text = render_card(make_card(encoder={"name": "ME/mini", "revision": REVISION}))
    assert metadata(text)["base_model"] == "ME/mini"
    assert f"`ME/mini` at commit `{REVISION}`" in text


def test_a_local_encoder_is_no_base_that_the_hub_could_link_to() -> None:
    assert "base_model" not in metadata(render_card(make_card()))


def test_the_licence_is_the_sources_or_none() -> None:
    carried = render_card(make_card(carried={"license": "mit", "language": ["en"]}))
    assert (metadata(carried)["license"], metadata(carried)["language"]) == ("mit", ["en"])
    assert "Licence: mit" in carried
    unknown = render_card(make_card())
    assert "license" not in metadata(unknown)
    assert "Licence: not stated" in unknown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("no metadata at all", "missing: library_name, pipeline_tag, tags"),
        ("---\nlibrary_name: onnx\ntags: [onnx]\n---\n", "missing: pipeline_tag"),
        ("---\nlibrary_name: onnx\npipeline_tag: fill-mask\ntags: [onnx]\n---\n", "found 'fill-mask'"),
    ],
)
def test_a_card_that_is_not_whole_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_card(text)


def test_metadata_that_reads_back_as_something_else_is_refused() -> None:
    text = render_card(make_card())
    meant = ModelCard(text).data
    check_card(text, meant)
    with pytest.raises(ValueError, match="reads back as something else"):
        check_card(text.replace("value: ", "value: 1", 1), meant)


# Numbers


def test_each_mean_stands_under_its_own_name() -> None:
    drift = measure().require(DRIFT)
    text = render_card(make_card())
    assert row(text, "mean over texts") == [f"{drift.largest_per_text.mean:.3g}"]
    assert row(text, "mean difference over all texts and labels") == [f"{drift.mean_abs:.3g}"]
    assert drift.mean_abs < 0.8 * drift.largest_per_text.mean  # so that one could not stand for the other here


def test_every_statistic_of_drift_is_there() -> None:
    largest = measure().require(DRIFT).largest_per_text
    text = render_card(make_card())
    shown = {name: row(text, name) for name in ("standard deviation", "min", "median", "max", "p25", "p99", "p99.9")}
    expected = {
        "standard deviation": largest.std, "min": largest.min, "median": largest.median, "max": largest.max,
        **{name: largest.percentiles[name] for name in ("p25", "p99", "p99.9")},
    }  # fmt: skip
    assert shown == {name: [f"{value:.3g}"] for name, value in expected.items()}


def test_flips_are_counted_at_every_policy() -> None:
    measured = measure(noise=0.5)
    text = render_card(make_card(make_variant(measured)))
    for policy, flips in measured.require(FLIPS).items():
        assert flips.total > 0
        assert row(text, f"flips {policy}")[0].startswith(f"{flips.total} of {flips.decisions} (")


def test_ratios_to_torch_are_shown_with_their_spread() -> None:
    text = render_card(make_card())
    for plan in PLANS:
        assert row(text, plan) == ["40.0", "3.14 [2.50, 4.00]"]
    assert "A processor (avx2), 2 of 8 cores, 2 threads" in text


def test_size_and_ratio_are_of_bytes() -> None:
    text = render_card(make_card())
    assert row(text, "`model.onnx`")[-2:] == ["1,000 bytes", "0.250"]


def test_a_bound_is_shown_with_its_value() -> None:
    value = f"{measure().require(DRIFT).max_abs_logit:.3g}"
    assert row(render_card(make_card()), "`max_abs_logit_drift`") == [f"{value} ≤ 1.5"]


def test_several_files_get_a_column_each_in_the_order_given() -> None:
    near, far = measure(noise=0.01), measure(noise=0.5)
    text = render_card(
        make_card(
            make_variant(near, "onnx/model.onnx", "onnx-fp32", 4000), make_variant(far, "onnx/model_quantized.onnx")
        )
    )
    assert row(text, "max") == [f"{one.require(DRIFT).largest_per_text.max:.3g}" for one in (near, far)]
    assert 'subfolder="onnx", file_name="model_quantized.onnx"' in text  # the smaller one is the example


def test_a_sample_of_the_corpus_is_said_to_be_one() -> None:
    assert "40 texts drawn from 500 with seed 0 of `reviews`" in render_card(make_card())


def test_no_label_breaks_a_table() -> None:
    text = render_card(make_card())
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


# How to load it


@pytest.mark.parametrize("multi_label", [True, False])
@pytest.mark.parametrize("model_id", [".", "ME/mini-onnx"])
def test_the_examples_are_python(model_id: str, multi_label: bool) -> None:
    variant = make_variant(measure(multi_label=multi_label))
    problem = ProblemType.MULTI_LABEL if multi_label else ProblemType.SINGLE_LABEL
    text = render_card(make_card(variant, model_id=model_id, encoder={"problem_type": problem}))
    blocks = python_blocks(text)
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "card", "exec")
    assert ("1 / (1 + np.exp(-logits))" in text) == multi_label


def test_the_examples_ask_about_pairs_where_the_encoder_takes_pairs() -> None:
    text = render_card(make_card(encoder={"takes_pairs": True}))
    for block in python_blocks(text):
        compile(block, "card", "exec")
    assert "classifier of pairs of texts with" in text
    assert '{"text": "ONNX Runtime answers in a few milliseconds.", "text_pair": "It is fast."}' in text
    assert 'encode_batch([("ONNX Runtime answers in a few milliseconds.", "It is fast.")])' in text
    assert "--input pairs.jsonl --text-column text --pair-column text_pair" in text
    assert f"{ROWS} pairs of texts" in text


def test_the_examples_of_a_pushed_card_load_from_the_hub() -> None:
    text = render_card(make_card(model_id="ME/mini-onnx"))
    assert text.startswith("---\n")
    assert "# mini-onnx\n" in text
    assert 'model_id = "ME/mini-onnx"' in text
    assert 'snapshot_download("ME/mini-onnx")' in text
    assert "driftgate predict ME/mini-onnx --backend onnx-int8" in text


def test_segments_are_fed_to_a_graph_that_takes_them() -> None:
    variant = make_variant(measure())
    inputs = {**variant.file.inputs, "token_type_ids": variant.file.inputs["input_ids"]}
    variant = replace(variant, file=replace(variant.file, inputs=inputs))
    assert '"token_type_ids": np.array([text.type_ids for text in encoded]' in render_card(make_card(variant))
    assert "type_ids" not in render_card(make_card())


def test_a_recipe_is_told_with_the_products_of_each_form() -> None:
    forms = {"layer.0.output.dense": "float16", "layer.1.output.dense": "float16", "layer.1.query": "int8-range"}
    variant = make_variant(measure())
    made = replace(variant.made, notes={"int8-rowwise": {"recipe": forms}})
    text = render_card(make_card(replace(variant, made=made)))
    assert "float16 for layer.0.output.dense, layer.1.output.dense; int8-range for layer.1.query" in text
