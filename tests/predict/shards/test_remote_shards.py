"""Inputs, plans and outputs at URLs: an S3 server on this machine (moto), a web server, and fsspec's memory."""

import json
import logging
import os
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from letter_counter import answer_double, open_double, tokenize_double
from sharded_files import BUDGET, draw_texts, plan_of, score, whole_job, write_csv, write_json_lines, write_parquet

from driftgate.arrays import Logits
from driftgate.edges import remote_files, remote_outputs
from driftgate.errors import CorpusError, InputChangedError, OptionError, OutputError
from driftgate.inputs.batches import TokenBatch
from driftgate.predict.answerer import Answerer
from driftgate.predict.job import run_job
from driftgate.predict.shards.make_plan import PlanOptions, make_plan
from driftgate.predict.shards.merge import merge
from driftgate.predict.shards.plan import read_plan, require_place
from driftgate.predict.shards.score import ShardsDone, score_shards

fsspec = pytest.importorskip("fsspec")
pytest.importorskip("pyarrow")
ROWS = 2500


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    pytest.importorskip("s3fs")
    moto = pytest.importorskip("moto.server")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    yield "http://{}:{}".format(*running.get_host_and_port())
    running.stop()


@pytest.fixture
def bucket(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of the test's own, as a URL."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("DRIFTGATE_CACHE", str(tmp_path / "cache"))
    name = f"bucket-{os.urandom(6).hex()}"
    store = fsspec.filesystem("s3", skip_instance_cache=True)
    store.mkdir(name)
    yield f"s3://{name}"
    fsspec.filesystem("s3").clear_instance_cache()


def put(source: Path, url: str) -> str:
    remote_outputs.upload(source, url)
    return url


def names(url: str) -> list[str]:
    return [found.rpartition("/")[2] for found in remote_files.find_files(f"{url}/*")]


MAKERS = {"csv": write_csv, "jsonl": write_json_lines, "parquet": write_parquet}


@pytest.mark.parametrize(("form", "suffix"), [("csv", "csv"), ("jsonl", "jsonl.gz"), ("parquet", "parquet")])
def test_a_plan_in_a_bucket_gives_the_bytes_of_one_process(form: str, suffix: str, bucket: str, tmp_path: Path) -> None:
    source = MAKERS[form](tmp_path / f"in.{form}", draw_texts(ROWS))
    run_job(whole_job(source, tmp_path / f"whole.{suffix}", id_column="id"), open_model=open_double)
    put(source, f"{bucket}/data/in.{form}")
    output_format, _, gzipped = suffix.partition(".")
    path, plan = plan_of(
        f"{bucket}/run", f"{bucket}/data/*.{form}", id_column="id", output_format=output_format, gzipped=bool(gzipped)
    )
    assert [shard.sha256 for shard in plan.shards] == ["", "", ""]
    assert plan.inputs[0].tag
    for place in (2, 0, 1):
        assert score(path, [place]).scored == 1
    assert score(path) == ShardsDone(0, 3, 0, 0)
    assert len([name for name in names(f"{bucket}/run") if name.endswith(".seal.json")]) == 3
    assert not [left for left in (tmp_path / "cache").rglob("*") if left.is_file()]
    for target in (f"{bucket}/out/merged.{suffix}", str(tmp_path / f"merged.{suffix}")):
        merge(path, plan, target)
        for name in ("", ".rejects.jsonl"):
            whole = (tmp_path / f"whole.{suffix}{name}").read_bytes()
            found = remote_files.read_whole(target + name) if "://" in target else Path(target + name).read_bytes()
            assert found == whole
    with pytest.raises(OutputError, match="it exists"):
        merge(path, plan, f"{bucket}/out/merged.{suffix}")


def test_an_object_that_changed_since_the_plan_or_while_it_is_read_is_refused(bucket: str, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", draw_texts(ROWS))
    url = put(source, f"{bucket}/in.csv")
    path, plan = plan_of(tmp_path, url)

    def changing(*arguments: Any) -> Answerer:
        def answer(batch: TokenBatch) -> Logits:
            if not (tmp_path / "other.csv").exists():
                put(write_csv(tmp_path / "other.csv", draw_texts(ROWS, 7)), url)
            return answer_double(batch)

        return Answerer("sha-of-double", tokenize_double, answer)

    with pytest.raises((InputChangedError, CorpusError), match=r"in\.csv: (it changed while|cannot be reached)"):
        score_shards(path, plan, [2], whole_job("-", "-"), open_model=changing)
    assert not (tmp_path / plan.shards[2].output).exists()
    with pytest.raises(CorpusError, match=r"in\.csv: it has changed since the plan was made"):
        score(path)
    put(source, url)
    assert score(path, overwrite=True).scored == 3
    remote_outputs.remove(url)
    (tmp_path / plan.shards[0].output).unlink()
    with pytest.raises(CorpusError, match=r"in\.csv: no such file"):
        score(path)


def test_of_two_workers_on_one_shard_one_wins(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second is done while the first is at work, on a machine of another kind, whose bits differ."""
    path, plan = plan_of(f"{bucket}/run", write_csv(tmp_path / "in.csv", draw_texts(ROWS)))
    done: list[ShardsDone] = []

    def other_bits(*arguments: Any) -> Answerer:
        return Answerer("sha-of-double", tokenize_double, lambda batch: Logits(answer_double(batch) + 1e-3))

    def slower(*arguments: Any) -> Answerer:
        def answer(batch: TokenBatch) -> Logits:
            if not done:
                with monkeypatch.context() as machine:
                    machine.setenv("DRIFTGATE_CACHE", str(tmp_path / "other machine"))
                    done.append(score_shards(path, plan, [0], whole_job("-", "-"), open_model=other_bits))
            return answer_double(batch)

        return Answerer("sha-of-double", tokenize_double, answer)

    first = score_shards(path, plan, [0], whole_job("-", "-"), open_model=slower)
    assert (done, first) == ([ShardsDone(1, 0, 0, 1024)], ShardsDone(0, 1, 0, 0))
    (seal,) = [
        json.loads(remote_files.read_whole(f"{bucket}/run/{name}") or b"")
        for name in names(f"{bucket}/run")
        if "seal" in name
    ]
    outputs = [name for name in names(f"{bucket}/run") if name.endswith(".csv")]
    assert outputs == [seal["output"]["name"]]  # of the first nothing is left
    assert not list((tmp_path / "cache").rglob("shard-*"))
    assert score(path, [0]) == ShardsDone(0, 1, 0, 0)


def test_outputs_that_are_gone_damaged_or_of_another_plan(bucket: str, tmp_path: Path) -> None:
    source = write_csv(tmp_path / "in.csv", draw_texts(ROWS))
    path, plan = plan_of(f"{bucket}/run", source)
    score(path)
    outputs = sorted(name for name in names(f"{bucket}/run") if name.endswith(".csv"))
    remote_outputs.remove(f"{bucket}/run/{outputs[0]}")
    remote_outputs.write_whole(f"{bucket}/run/{outputs[1]}", b"damaged")
    with pytest.raises(OutputError, match="gone, or changed since it was written: 1-2"):
        merge(path, plan, f"{bucket}/out.csv")
    assert not remote_files.exists(f"{bucket}/out.csv")
    assert score(path) == ShardsDone(2, 1, 0, 2048)
    assert merge(path, plan, f"{bucket}/out.csv").rows == ROWS
    other, _ = plan_of(f"{bucket}/run", source, rows=1500)
    assert other == path
    with pytest.raises(OutputError, match="it is the output of another plan"):
        score(path)
    assert score(path, overwrite=True).scored == 2
    assert score(path, overwrite=True).whole == 2


def test_what_could_not_be_sent_is_not_scored_again(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = plan_of(f"{bucket}/run", write_csv(tmp_path / "in.csv", draw_texts(600)))

    def refuse(source: Path, url: str) -> Any:
        raise OutputError(f"{url}: no permission")

    with monkeypatch.context() as patch:
        patch.setattr(remote_outputs, "upload", refuse)
        with pytest.raises(OutputError, match="no permission"):
            score(path)
    assert list((tmp_path / "cache").rglob("shard-00000.csv"))

    def never(*arguments: Any) -> Answerer:
        raise AssertionError("it is scored again")

    plan = read_plan(path)
    assert score_shards(path, plan, [0], whole_job("-", "-"), open_model=never) == ShardsDone(1, 0, 0, 600)
    assert merge(path, plan, f"{bucket}/out.csv").rows == 600


def test_a_store_in_which_two_could_win_is_refused(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    require_place(f"{bucket}/run/plan.json", overwrite=False)
    assert names(f"{bucket}/run") == []
    import s3fs

    real = s3fs.S3FileSystem._pipe_file

    async def write(self: Any, path: str, value: bytes, mode: str = "") -> Any:
        return await real(self, path, value)

    monkeypatch.setattr(s3fs.S3FileSystem, "_pipe_file", write)
    fsspec.filesystem("s3").clear_instance_cache()
    with pytest.raises(OutputError, match="its server ignores If-None-Match"):
        require_place(f"{bucket}/run/plan.json", overwrite=False)
    for url in ("https://host.example/run/plan.json", "hf://datasets/a/b/plan.json"):
        with pytest.raises(OutputError, match=r"of two workers on one shard both could win there, .*expected a folder"):
            require_place(url, overwrite=False)


def test_what_is_wrong_with_a_url_is_one_line(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(write_csv(tmp_path / "in.csv", draw_texts(600)), f"{bucket}/in.csv")

    def refused(url: str, kind: type[Exception] = CorpusError) -> str:
        with pytest.raises(kind) as error:
            make_plan([url], PlanOptions())
        assert "\n" not in str(error.value)
        return str(error.value)

    assert refused(f"{bucket}/none.csv") == f"{bucket}/none.csv: no such file"
    assert "no file whose name matches it" in refused(f"{bucket}/none*.csv", OptionError)
    assert "expected a file, found a folder" in refused(bucket)
    assert "Protocol not known: what" in refused("what://bucket/in.csv")
    with pytest.raises(OptionError, match="given twice"):
        make_plan([f"{bucket}/in.csv", f"{bucket}/*.csv"], PlanOptions())
    with pytest.raises(CorpusError, match="one URL within another is not supported"):
        remote_files.look(f"simplecache::{bucket}/in.csv")
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert refused("gs://bucket/in.csv").endswith('pip install "driftgate[remote]"')


def test_missing_credentials_are_one_line_and_resumable(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, plan = plan_of(tmp_path, put(write_csv(tmp_path / "in.csv", draw_texts(ROWS)), f"{bucket}/in.csv"))
    score(path, [0])
    with monkeypatch.context() as elsewhere:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            elsewhere.delenv(name)
        elsewhere.setenv("AWS_EC2_METADATA_DISABLED", "true")
        elsewhere.setenv("HOME", str(tmp_path / "nobody"))
        fsspec.filesystem("s3").clear_instance_cache()
        with pytest.raises(CorpusError) as error:
            score(path)
        assert (
            str(error.value) == f"{bucket}/in.csv: cannot be reached (NoCredentialsError: Unable to locate credentials)"
        )
    fsspec.filesystem("s3").clear_instance_cache()
    assert score(path) == ShardsDone(2, 1, 0, ROWS - 1024)
    assert merge(path, plan, tmp_path / "out.csv").rows == ROWS


def test_a_file_at_a_url_is_scored_as_one_on_this_machine(bucket: str, tmp_path: Path) -> None:
    source = write_json_lines(tmp_path / "in.jsonl", draw_texts(600))
    run_job(whole_job(source, tmp_path / "whole.csv"), open_model=open_double)
    run_job(whole_job(put(source, f"{bucket}/in.jsonl"), tmp_path / "out.csv"), open_model=open_double)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    with pytest.raises(OptionError, match="expected a file on this machine; outputs of shards can be at URLs"):
        whole_job(source, f"{bucket}/out.csv")


def test_memory_has_no_tags_and_is_told_by_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTGATE_CACHE", str(tmp_path / "cache"))
    url = "memory://shards/in.csv"
    remote_outputs.write_whole(url, write_csv(tmp_path / "in.csv", draw_texts(ROWS)).read_bytes())
    path, plan = plan_of("memory://shards/run", url)
    assert all(shard.sha256 for shard in plan.shards)
    assert score(path, [0, 2]).scored == 2
    content = bytearray(remote_files.read_whole(url) or b"")
    content[plan.shards[1].part.first_byte + 9] ^= 1
    remote_outputs.write_whole(url, bytes(content))
    with pytest.raises(CorpusError, match="it has changed since the plan was made"):
        score(path)
    content[plan.shards[1].part.first_byte + 9] ^= 1
    remote_outputs.write_whole(url, bytes(content))
    assert score(path) == ShardsDone(1, 2, 0, 1024)
    run_job(whole_job(tmp_path / "in.csv", tmp_path / "whole.csv"), open_model=open_double)
    merge(path, plan, "memory://shards/out.csv")
    assert remote_files.read_whole("memory://shards/out.csv") == (tmp_path / "whole.csv").read_bytes()
    fsspec.filesystem("memory").rm("/shards", recursive=True)


class Silent(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        pass


def test_a_web_server_that_gives_no_pieces_has_one_shard(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    source = write_csv(tmp_path / "in.csv", draw_texts(ROWS))
    web = ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=tmp_path))
    thread = threading.Thread(target=web.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{web.server_port}/in.csv"
        plan, remarks = make_plan([url], PlanOptions(rows=600, token_budget=BUDGET))
        assert remarks == [f"{url}: one shard, because its server gives no pieces of it"]
        run_job(whole_job(url, tmp_path / "out.csv"), open_model=open_double)
        run_job(whole_job(source, tmp_path / "whole.csv"), open_model=open_double)
        assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
        assert plan.rows == ROWS
    finally:
        web.shutdown()
        web.server_close()
        thread.join()
