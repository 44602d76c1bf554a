"""Keys one after the other: what is typed ahead goes to the widget that the keys before it lead to.

Textual forwards a key to the widget that has the focus when the key arrives. What the key before has done (opened a prompt, submitted it,
changed the pane) may still be on its way then, through the queues of the widgets up to the application; so `/strcmp` and Enter in one
go, as of a fast typist, a slow line or `tmux send-keys`, went to the list instead of the prompt. Here a key waits until the one before
it is done.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

from textual.app import App
from textual.dom import DOMNode
from textual.events import Key

_LONGEST = 0.25  # seconds a key waits: the widget that got the one before may be gone
_ROUNDS = 2  # the key and what bubbles from it; then the messages that it has caused


class TypedAhead:
    """The keys of an application. deliver: gives one to Textual."""

    def __init__(self, app: App[None], deliver: Callable[[Key], Awaitable[None]]) -> None:
        self._app, self._deliver = app, deliver
        self._waiting: deque[Key] = deque()
        self._turn = 0  # of the key that is being handled; even: none is

    async def add(self, key: Key) -> None:
        self._waiting.append(key)
        if self._turn % 2 == 0:
            await self._next()

    async def _next(self) -> None:
        if not self._waiting:
            return
        self._turn += 1
        target = self._app.focused or self._app.screen
        await self._deliver(self._waiting.popleft())
        self._app.set_timer(_LONGEST, lambda turn=self._turn: self._done(turn))
        self._behind(target, target, _ROUNDS, self._turn)

    def _behind(self, node: DOMNode | None, target: DOMNode, rounds: int, turn: int) -> None:
        """Goes the way of the messages of `target`, behind them; after so many rounds the key is done."""
        if node is None or node is self._app:
            self._app.call_later(
                *((self._behind, target, target, rounds - 1, turn) if rounds > 1 else (self._done, turn))
            )
        elif not node.call_later(self._behind, node.parent, target, rounds, turn):
            self._app.call_later(self._done, turn)  # it is gone

    async def _done(self, turn: int) -> None:
        if turn == self._turn:
            self._turn += 1
            await self._next()
