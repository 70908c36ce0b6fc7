"""A Ray of one process: actors answer when they are waited for, and machines are lost on order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


class RayError(Exception):
    pass


class RayTaskError(RayError):
    pass


class ActorDiedError(RayError):
    actor_init_failed = False


class ActorUnavailableError(RayError):
    pass


@dataclass(eq=False)
class Ref:
    answer: Callable[[], Any]


@dataclass(eq=False)
class Actor:
    made: Any
    number: int
    killed: bool = False

    def __getattr__(self, name: str) -> Any:
        return SimpleNamespace(remote=lambda *given: Ref(lambda: getattr(self.made, name)(*given)))


@dataclass
class FakeRay:
    """Args:
    make: the actor with this number, told the order.
    machines: CPUs by name; those in `gone` are dead.
    """

    make: Callable[[int, Any], Any]
    machines: dict[str, float]
    gone: set[str] = field(default_factory=set)
    actors: list[Actor] = field(default_factory=list)
    exceptions: Any = field(
        default_factory=lambda: SimpleNamespace(
            RayError=RayError,
            RayTaskError=RayTaskError,
            ActorDiedError=ActorDiedError,
            ActorUnavailableError=ActorUnavailableError,
        )
    )

    def remote(self, **options: Any) -> Callable[[type], Any]:
        self.options = options

        def ask(order: Any) -> Actor:
            number = len(self.actors)
            self.actors.append(Actor(self.make(number, order), number))
            return self.actors[-1]

        return lambda kind: SimpleNamespace(remote=ask)

    def nodes(self) -> list[dict[str, Any]]:
        return [
            {"NodeID": name, "Alive": name not in self.gone, "Resources": {"CPU": cpus}}
            for name, cpus in self.machines.items()
        ]

    def wait(self, refs: Sequence[Ref], *, num_returns: int, timeout: float) -> tuple[list[Ref], list[Ref]]:
        return list(refs[:1]), list(refs[1:])

    def get(self, ref: Ref) -> Any:
        return ref.answer()

    def kill(self, actor: Actor) -> None:
        actor.killed = True
