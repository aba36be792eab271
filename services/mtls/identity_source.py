"""Which identity is in force now. A long-lived part of a service holds this, and not an identity.

    context = source.derive(server_context)   # made again whenever the identity changes
    ssl = context.value                       # of now; ask for it each time

What takes over the files is identity_watch.py.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from mtls.identity import Identity

_Made = TypeVar("_Made")


class Derived(Generic[_Made]):
    """Something that is made from the identity in force; `value` may be read in any thread."""

    def __init__(self, make: Callable[[Identity], _Made], value: _Made) -> None:
        self.make = make
        self.value = value


class IdentitySource:
    """Holds the identity in force; without identity_watch.py, the same for ever."""

    def __init__(self, identity: Identity) -> None:
        self._current = identity
        self._derived: list[Derived[Any]] = []
        self._watchers: list[Callable[[Identity], None]] = []

    @property
    def current(self) -> Identity:
        """The identity in force."""
        return self._current

    def derive(self, make: Callable[[Identity], _Made]) -> Derived[_Made]:
        """Return what `make` makes of the identity in force, now and after each change."""
        derived = Derived(make, make(self._current))
        self._derived.append(derived)
        return derived

    def subscribe(self, watcher: Callable[[Identity], None]) -> Callable[[], None]:
        """Have `watcher` called after every look at the files; return how to end that.

        It is called with the identity in force, changed or not, in the event loop and every few
        seconds: also what only time changes, a peer's certificate that expires, is seen to here.
        """
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def replace(self, identity: Identity) -> None:
        """Put another identity in force, everywhere or nowhere.

        What was derived is made first: the exception of a maker, as when OpenSSL does not take
        the new key, leaves all as it was.
        """
        made = [(derived, derived.make(identity)) for derived in self._derived]
        for derived, value in made:
            derived.value = value
        self._current = identity

    def tell(self) -> None:
        """Call those who have subscribed."""
        for watcher in tuple(self._watchers):
            watcher(self._current)
