"""Comments on pull requests, against as much of GitHub as they need."""

from collections.abc import Iterator

import pytest
from fake_github import FakeGitHub, fake_github

from driftgate.errors import OptionError, PullRequestError

pytest.importorskip("github", reason="PyGithub is not installed; the extra github brings it")

from driftgate.pull_request.github import Repository, Wanted, post_comment

BODY = "<!-- driftgate: emotions -->\n\n# driftgate report: emotions\n\nIt failed.\n"
SHA = "a" * 40
FROM_FORK = Wanted(branch="stranger:faster", commit=SHA)


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    with fake_github() as state:
        yield state


def post(github: FakeGitHub, body: str = BODY, wanted: Wanted = FROM_FORK, **changes: str) -> str:
    given = {"name": "someone/model", "api": github.address, "token": github.token}
    return post_comment(Repository(**{**given, **changes}), wanted, body)


@pytest.mark.parametrize("wanted", [FROM_FORK, Wanted(7), Wanted(7, commit=SHA)], ids=["fork", "number", "commit"])
def test_the_first_run_comments(github: FakeGitHub, wanted: Wanted) -> None:
    assert post(github, wanted=wanted).startswith("commented on pull request 7: http")
    assert [comment["body"] for comment in github.comments] == [BODY]


def test_a_run_again_changes_its_comment_only_where_it_says_something_else(github: FakeGitHub) -> None:
    for number in range(4):
        github.add_comment(f"a review {number}", "someone")
    post(github)
    assert post(github, BODY.replace("\n", "\r\n")).startswith("pull request 7 has this comment already")
    assert github.written == ["POST"]
    changed = BODY.replace("failed", "passed")
    assert post(github, changed).startswith("changed the comment on pull request 7")
    assert github.written == ["POST", "PATCH"]
    assert [comment["body"] for comment in github.comments[4:]] == [changed]


def test_another_encoder_has_a_comment_of_its_own(github: FakeGitHub) -> None:
    post(github)
    post(github, BODY.replace("emotions", "topics"))
    assert github.written == ["POST", "POST"]


def test_a_comment_of_somebody_else_is_never_changed(github: FakeGitHub) -> None:
    github.add_comment(BODY, "stranger")
    post(github, BODY.replace("failed", "passed"))
    assert github.written == ["POST"]
    assert github.comments[0]["body"] == BODY


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(branch="stranger:faster", commit="b" * 40),
        Wanted(branch="stranger:other", commit=SHA),
        Wanted(7, commit="b" * 40),
    ],
    ids=["moved on", "another branch", "number, moved on"],
)
def test_a_pull_request_that_has_moved_on_gets_no_comment(github: FakeGitHub, wanted: Wanted) -> None:
    assert post(github, wanted=wanted).startswith("no comment: no open pull request has commit")
    assert github.written == []


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        (0, {"token": "wrong"}, "the token may not do this (401 Bad credentials); the job needs permission"),
        (403, {}, "the token may not do this (403"),
        (0, {"name": "someone/other"}, "no such repository or pull request"),
        (422, {}, "it answered 422 as the test wants"),
    ],
    ids=["token", "permission", "repository", "other"],
)
def test_a_refusal_is_explained_and_names_no_token(
    github: FakeGitHub, status: int, changes: dict[str, str], words: str
) -> None:
    github.status = status
    with pytest.raises(PullRequestError) as refused:
        post(github, **changes)
    assert words in str(refused.value)
    assert github.token not in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_host_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("driftgate.pull_request.github._RETRIES", 0)
    with fake_github() as github:
        pass
    with pytest.raises(PullRequestError, match="expected an answer of GitHub, found none"):
        post(github)


@pytest.mark.parametrize("fields", [{}, {"number": 7, "branch": "a:b"}, {"branch": "a:b"}])
def test_a_pull_request_is_named_in_one_way(fields: dict[str, object]) -> None:
    with pytest.raises(OptionError):
        Wanted(**fields)  # type: ignore[arg-type]
