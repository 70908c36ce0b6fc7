"""Comments on GitHub: one a pull request and encoder, found by its first line, and changed only when it says something else."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from driftgate.edges.spelling import option
from driftgate.errors import OptionError, PullRequestError
from driftgate.pull_request.shape import marker_of, says_the_same

BOT = "github-actions[bot]"
EXTRA = "driftgate[github]"
_TIMEOUT_SECONDS = 30
_RETRIES = 3
_NOT_FOUND, _REFUSED = 404, (401, 403)


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on GitHub, and how it is reached.

    Args:
        name: owner/name. `api`: the address of the interface. `token`: never printed.
        author: who writes the comments; those of others are never changed, whatever their first line is.
    """

    name: str
    api: str
    token: str
    author: str = BOT


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which pull request: its number, or the branch it comes from, as OWNER:BRANCH, with the commit that was judged.

    A number alone takes the pull request as it is; with a commit, one that has moved on gets no comment.
    """

    number: int | None = None
    branch: str = ""
    commit: str = ""

    def __post_init__(self) -> None:
        if (self.number is None) == (not self.branch):
            raise OptionError(f"expected {option('pull_request')} or {option('head')}, and not both")
        if self.branch and not self.commit:
            raise OptionError(
                f"{option('head', self.branch)}: expected the commit that was judged as well; give it with {option('commit')}"
            )


def post_comment(repository: Repository, wanted: Wanted, body: str) -> str:
    """Put the comment on the pull request: new, in place of the one that was there, or not at all if it says the same.

    Returns:
        A sentence that says what was done.

    Raises:
        PullRequestError: GitHub cannot be reached, refuses, or has no such repository or pull request.
    """
    with _explained(repository):
        pull = _find(_open(repository), wanted)
        if pull is None:
            return f"no comment: no open pull request has commit {wanted.commit[:12]} as its last one any more"
        there = _own_comment(pull.get_issue_comments(), repository.author, marker_of(body))
        if there is None:
            made = pull.create_issue_comment(body)
            return f"commented on pull request {pull.number}: {made.html_url}"
        if says_the_same(there.body or "", body):
            return f"pull request {pull.number} has this comment already: {there.html_url}"
        there.edit(body)
        return f"changed the comment on pull request {pull.number}: {there.html_url}"


def _open(repository: Repository) -> Any:
    from github import Auth, Github, GithubRetry

    reached = Github(
        auth=Auth.Token(repository.token),
        base_url=repository.api,
        timeout=_TIMEOUT_SECONDS,
        per_page=100,
        retry=GithubRetry(total=_RETRIES),
        lazy=True,
        seconds_between_requests=0,
        seconds_between_writes=0,
    )
    return reached.get_repo(repository.name)


def _find(found: Any, wanted: Wanted) -> Any:
    """The open pull request whose last commit was judged; None where it has moved on."""
    if wanted.number is not None:
        candidates = [found.get_pull(wanted.number)]
    else:
        candidates = found.get_pulls(state="open", head=wanted.branch)
    return next((pull for pull in candidates if wanted.commit in ("", pull.head.sha)), None)


def _own_comment(comments: Iterable[Any], author: str, marker: str) -> Any:
    """The first of the author's comments with this marker; None where there is none."""
    own = (comment for comment in comments if comment.user and comment.user.login == author)
    return next((comment for comment in own if marker_of(comment.body or "") == marker), None)


@contextmanager
def _explained(repository: Repository) -> Iterator[None]:
    """Errors of the library in one line, with what to do."""
    try:
        from github import GithubException
        from requests import RequestException  # PyGithub asks with it
    except ImportError as error:
        raise PullRequestError(f"commenting needs PyGithub; install {EXTRA}") from error
    try:
        yield
    except GithubException as error:
        raise PullRequestError(f"GitHub repository {repository.name}: {_explain(error)}") from error
    except RequestException as error:
        raise PullRequestError(
            f"{repository.api}: expected an answer of GitHub, found none ({type(error).__name__}); try again"
        ) from error


def _explain(error: Any) -> str:
    said = error.data.get("message", "") if isinstance(error.data, dict) else ""
    if error.status in _REFUSED:
        return f"the token may not do this ({error.status} {said}); the job needs permission pull-requests: write"
    if error.status == _NOT_FOUND:
        return "no such repository or pull request, or the token may not see it (404)"
    return f"it answered {error.status} {said}".rstrip()
