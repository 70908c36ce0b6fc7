"""What URLs are, and the clients of stores that fsspec knows for them.

Credentials and endpoints are what each client finds by itself: environment variables, configuration files, the role of a
machine. Whatever goes wrong there is said in one line.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from driftgate.errors import DriftgateError

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://")
_LOCAL = ("file", "local")
WEB = ("http", "https")


def is_url(name: str) -> bool:
    """Whether it names a file that is not on this machine: `s3://bucket/name`."""
    scheme = _SCHEME.match(name)
    return scheme is not None and scheme[1] not in _LOCAL


def local_name(name: str) -> str:
    """The path of a `file://` URL; anything else as it is."""
    scheme = _SCHEME.match(name)
    return name[scheme.end() :] if scheme and scheme[1] in _LOCAL else name


def join(folder: str, name: str) -> str:
    """A name in a folder at a URL."""
    return f"{folder.rstrip('/')}/{name}"


def scheme_of(url: str) -> str:
    """What stands before `://`."""
    return url.partition("://")[0]


@contextmanager
def opened_store(url: str, kind: type[DriftgateError]) -> Iterator[tuple[Any, str]]:
    """The client of a URL's store (`fsspec.AbstractFileSystem`), without what it remembers, and what the URL names there.

    Raises:
        DriftgateError: of this kind, see `naming_store`: also for the ImportError or ValueError where there is no client.
    """
    with naming_store(url, kind):
        import fsspec

        if "::" in url:
            raise ValueError("one URL within another is not supported; expected scheme://name")
        system, path = fsspec.core.url_to_fs(url)
        system.invalidate_cache()
        yield system, path


@contextmanager
def naming_store(url: str, kind: type[DriftgateError]) -> Iterator[None]:
    """Whatever a client of a store raises, in one line with the URL."""
    try:
        yield
    except DriftgateError:
        raise
    except FileNotFoundError as error:
        why = f" ({_words(error.__cause__)})" if error.__cause__ else ""  # a web server that does not answer is one too
        raise kind(f"{url}: no such file{why}") from error
    except PermissionError as error:
        raise kind(f"{url}: no permission ({_words(error)}); check the credentials") from error
    except ImportError as error:
        raise kind(f'{url}: {_words(error)}; pip install "driftgate[remote]"') from error
    except Exception as error:
        raise kind(f"{url}: cannot be reached ({type(error).__name__}: {_words(error)})") from error


def _words(error: BaseException) -> str:
    """The first line of what it says."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return said.strip().partition("\n")[0] or "no reason given"
