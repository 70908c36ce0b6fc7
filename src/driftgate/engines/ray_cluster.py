"""A Ray cluster: one that is there, or one on this machine for the time of a job."""

import io
import logging
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, TextIO

from driftgate.edges.processes import shielded
from driftgate.edges.spelling import option
from driftgate.errors import OptionError, WorkerError
from driftgate.run.device import available_threads, core_limit

_LOCAL = "local"
_CONNECT_SECONDS = 10.0
_ERROR_THREAD = "ray_listen_error_messages"
_STORE_BYTES = 100 << 20  # nothing large is put there; the default is a third of the memory
_THERE_ALREADY = {"RAY_gcs_server_port_wait_time_s": "2"}
"""Attempts to connect, each of which takes half a minute; Ray's default is 20."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # `uv run` would have Ray upload the current folder, and import from it
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # some versions warn that this will be the default
}


@dataclass(frozen=True, slots=True)
class RaySettings:
    """Which cluster, and how many workers.

    Args:
        address: of the cluster; empty for RAY_ADDRESS, else a new one on this machine.
        workers: 0 for as many as fit.
        cpus_per_worker: that Ray counts for each; it pins none.
    """

    address: str = ""
    workers: int = 0
    cpus_per_worker: int = 1

    def __post_init__(self) -> None:
        if self.address.startswith("ray://"):
            raise OptionError(
                f"{option('ray_address', self.address)}: expected the address of a cluster that this machine belongs to, such as "
                "auto or HOST:6379; start the command on one of its machines, or with `ray job submit`"
            )
        for name, least in (("workers", 0), ("cpus_per_worker", 1)):
            if getattr(self, name) < least:
                raise OptionError(f"{name} {getattr(self, name)}: expected a whole number from {least}")


def require_ray() -> None:
    """Refuse to go on without Ray, before anything is built.

    Raises:
        OptionError: it is not installed.
    """
    if find_spec("ray") is None:
        raise OptionError(f'{option("engine", "ray")}: Ray is not installed; pip install "driftgate[ray]"')


@contextmanager
def connected(settings: RaySettings) -> Iterator[Any]:
    """The module `ray`, connected. What was connected before stays so.

    Raises:
        OptionError: Ray is not installed; more CPUs than this machine has. WorkerError: no cluster is there, or it is of another
            version of Ray or Python.
    """
    require_ray()
    with _with_environment(_SETTINGS):
        import ray

        if ray.is_initialized():
            yield ray
            return
        _connect(ray, settings)
    try:
        with redirect_stdout(_WithoutRay(sys.stdout)):
            yield ray
    finally:
        ray.shutdown()


def _connect(ray: Any, settings: RaySettings) -> None:
    address = settings.address or os.environ.get("RAY_ADDRESS") or _LOCAL
    new: dict[str, Any] = {}
    if address == _LOCAL:
        cpus = settings.cpus_per_worker
        core_limit("cpus_per_worker").require(cpus)
        core_limit("workers").require(settings.workers or 1)
        count = max(available_threads(), settings.workers * cpus)
        new = {"num_cpus": count, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        _require_listener(address)
        # Every worker puts the job's current folder first on its path of imports. In the root folder only the system writes.
        with chdir("/"), shielded(), _with_environment({} if new else _THERE_ALREADY):
            ray.init(address, log_to_driver=False, logging_level=logging.ERROR, **new)
    except Exception as error:
        ray.shutdown()
        what = "Ray cannot be started here" if new else f"no Ray cluster can be reached at {address}"
        raise WorkerError(f"{what}: {first_line(error)}") from error


def _require_listener(address: str) -> None:
    """Ray itself would try for ten minutes.

    Raises:
        OSError: nobody listens at HOST:PORT.
    """
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


def read_living(ray: Any) -> dict[str, float]:
    """How many CPUs Ray counts on each machine that it believes to be there, by its name.

    It takes some 15 seconds to notice that one is lost without a word.
    """
    return {node["NodeID"]: float(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]}


def first_line(error: BaseException) -> str:
    """What an error of Ray says, without the stack that it puts below or above."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


class _WithoutRay(io.TextIOBase):
    """Standard output, which is for data, without what a thread of Ray writes there about lost workers; the job says it too."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name == _ERROR_THREAD:
            return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()


@contextmanager
def _with_environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Within, these are set unless the user has set them."""
    own = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)
