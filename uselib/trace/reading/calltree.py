"""The calling-context tree of a trace: one node for each distinct path of calls, with how often and how long.

All views that count are made from it: summary, graph, flame graphs, the report. Its size depends on how many different paths
there are, not on how many events; two limits keep it bounded whatever the program does:

- calls nested deeper than MAXIMUM_DEPTH hang side by side under their ancestor at that depth;
- beyond MAXIMUM_NODES, a new path is counted under a node of its function right below the process (`truncated` says so).

A call through a slot that was made by a function which is not a slot itself (`main`, or a callback in the program) hangs under a
*site* node for that function, so a path reads main > libc!qsort > compare > libc!strcmp although `main` and `compare` leave no
events. Sites have no calls or time of their own.

Each thread has a stack of open calls of its own. The calls of all threads of a process hang under its root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from uselib.emulator.trace.store.format import EventKind
from uselib.linker.formats.library_names import plain_name
from uselib.trace.reading.blocks import Array, blocks, function_numbers
from uselib.trace.reading.levels import Levels, levels, pair
from uselib.trace.reading.model import TracedProcess, TraceFile
from uselib.trace.reading.progress import Progress
from uselib.trace.reading.threads import by_thread

MAXIMUM_DEPTH = 128
MAXIMUM_NODES = 1 << 18
_MIX_CALLER, _MIX_FUNCTION = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)

# told of each block's calls: process, function numbers, times, levels
Visitor = Callable[[TracedProcess, Array, Array, Array], None]


@dataclass
class CallTree:
    """Nodes as parallel lists. function: a number in TraceFile.functions, -1 for the root of a process.

    calls, total, self_time, unfinished (calls whose return was not seen): numpy arrays, by node, times in the trace's clock.
    A site's total is the sum of its children.
    """

    parent: list[int] = field(default_factory=list)
    function: list[int] = field(default_factory=list)
    site: list[bool] = field(default_factory=list)
    roots: dict[int, int] = field(default_factory=dict)  # process index -> node
    calls: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    total: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    self_time: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    unfinished: Array = field(default_factory=lambda: np.zeros(0, np.int64))
    truncated: bool = False
    first_time: int = 0
    last_time: int = 0

    def __len__(self) -> int:
        return len(self.parent)

    def children(self) -> list[list[int]]:
        """By node, those with most time (and then calls) first."""
        found: list[list[int]] = [[] for _ in self.parent]
        for node, parent in enumerate(self.parent):
            if parent >= 0:
                found[parent].append(node)
        total, calls = self.total.tolist(), self.calls.tolist()
        for row in found:
            row.sort(key=lambda n: (-total[n], -calls[n], n))
        return found

    def path(self, node: int) -> list[int]:
        """Nodes from the process's root (left out) down to the node."""
        found = []
        while node >= 0 and self.parent[node] >= 0:
            found.append(node)
            node = self.parent[node]
        return found[::-1]


def build(
    trace: TraceFile, processes: Iterable[TracedProcess] | None = None, visitor: Visitor | None = None
) -> CallTree:
    """Reads all records of the processes (of all, if None) once."""
    chosen = trace.processes if processes is None else list(processes)
    builder = _Builder(trace, visitor)
    with Progress("reading", sum(process.record_count for process in chosen)) as progress:
        for process in chosen:
            builder.process(process, progress.step)
    return builder.finish()


class _Sums:
    """A growing array of numbers by node."""

    def __init__(self) -> None:
        self.values = np.zeros(1024, np.float64)  # exact up to 2**53

    def add(self, nodes: Array, weights: Array | None, size: int) -> None:
        if len(self.values) < size:
            self.values = np.concatenate([self.values, np.zeros(max(size, len(self.values)))])
        if len(nodes):
            counts = np.bincount(nodes, weights)
            self.values[: len(counts)] += counts

    def take(self, size: int) -> Array:
        values = self.values[:size]
        return np.concatenate([values, np.zeros(size - len(values))]).astype(np.int64)


class _Builder:
    def __init__(self, trace: TraceFile, visitor: Visitor | None) -> None:
        self._trace, self._visitor = trace, visitor
        self._tree = CallTree()
        self._nodes: dict[tuple[int, int], int] = {}  # (parent node, function) -> node
        self._calls, self._total, self._children, self._unfinished = _Sums(), _Sums(), _Sums(), _Sums()
        self._owners: dict[tuple[str, str], int] = {}
        self._owner: list[int] = []  # by function number: the same for a slot and the implementation behind it
        self._times: list[int] = []

    def finish(self) -> CallTree:
        tree = self._tree
        size = len(tree)
        tree.calls, tree.total, tree.unfinished = (
            sums.take(size) for sums in (self._calls, self._total, self._unfinished)
        )
        tree.self_time = np.maximum(tree.total - self._children.take(size), 0)
        total = tree.total.tolist()
        for node in range(size - 1, -1, -1):  # children come after parents
            parent = tree.parent[node]
            if parent >= 0 and (tree.site[parent] or tree.parent[parent] < 0):
                total[parent] += total[node]
        tree.total = np.array(total, np.int64)
        if self._times:
            tree.first_time, tree.last_time = min(self._times), max(self._times)
        return tree

    # -- one process --------------------------------------------------------------------------------------------------

    def process(self, process: TracedProcess, step: Callable[[int], None]) -> None:
        """All threads of a process hang under its root; each has its own open calls."""
        sites = _Sites(self._enter(-1, -1, site=False))
        self._tree.roots[process.index] = sites.root
        threads: dict[int, _Thread] = {}
        for block in blocks(self._trace, process, step):
            times = block.records["time"]
            self._times += [int(times[0]), int(times[-1])]
            for number, rows in by_thread(block):
                if number not in threads:
                    threads[number] = _Thread(sites)
                self._block(process, block.records[rows], threads[number])
        for thread in threads.values():  # calls that were open at the end
            if thread.stack:
                dur = np.maximum(thread.last - thread.start, 0)
                self._close(thread.node, thread.parent_node, dur, np.zeros(len(dur), bool))

    def _block(self, process: TracedProcess, records: Array, state: _Thread) -> None:
        kind = records["kind"]
        is_call = (kind == EventKind.CALL) | (kind == EventKind.INNER_CALL)
        rows = np.flatnonzero(is_call | (kind == EventKind.RETURN) | (kind == EventKind.INNER_RETURN))
        times = records["time"].astype(np.int64)
        state.last = int(times[-1])
        if not len(rows):
            return
        records, is_call = records[rows], is_call[rows]
        times = times[rows]
        found = levels(records["depth"].astype(np.int64), is_call, state.stack)
        carried = len(state.node)
        pairs = pair(found, is_call, carried)
        calls = records[is_call]
        functions = function_numbers(self._trace, process, calls["function"])
        if self._visitor is not None:
            self._visitor(process, functions, times[is_call], found.level[is_call])
        sites = self._call_sites(process, calls["caller"], functions, state.sites)
        node = self._assign(pairs.open_level, pairs.parent, state, sites)
        parent_node = np.where(pairs.parent >= 0, node[pairs.parent], state.sites.root)
        parent_node[:carried] = state.parent_node
        start = np.concatenate([state.start, times[is_call]])
        self._calls.add(node[carried:], None, len(self._tree))
        durations = np.maximum(times[pairs.by_row] - start[pairs.closed], 0)
        self._close(node[pairs.closed], parent_node[pairs.closed], durations, pairs.returned)
        state.carry(found, node[pairs.left], parent_node[pairs.left], start[pairs.left])

    def _close(self, node: Array, parent: Array, durations: Array, returned: Array) -> None:
        size = len(self._tree)
        self._total.add(node, durations, size)
        self._children.add(parent, durations, size)
        self._unfinished.add(node[~returned], None, size)

    # -- call sites and nodes -----------------------------------------------------------------------------------------

    def _call_sites(self, process: TracedProcess, callers: Array, functions: Array, state: _Sites) -> Array:
        """A small number for each distinct (return address, function)."""
        mixed = callers * _MIX_CALLER + functions.astype(np.uint64) * _MIX_FUNCTION
        distinct, index, inverse = np.unique(mixed, return_index=True, return_inverse=True)
        numbers = np.empty(len(distinct), np.int64)
        for at, (key, row) in enumerate(zip(distinct.tolist(), index.tolist(), strict=True)):
            site = state.numbers.get(key)
            if site is None:
                pair_ = self._caller(process, int(callers[row])), int(functions[row])
                site = state.pairs.setdefault(pair_, len(state.pairs))
                if site == len(state.pair_list):
                    state.pair_list.append(pair_)
                state.numbers[key] = site
            numbers[at] = site
        return numbers[inverse]

    def _caller(self, process: TracedProcess, address: int) -> int:
        """The function that holds a return address, as a function number; -1 if it lies in no file."""
        place = process.places.caller(address)
        if place is None:
            return -1
        library = process.libraries.get(place.file.path, "")
        return self._trace.function(library, plain_name(place.symbol) or place.file.name).number

    def _owner_of(self, function: int) -> int:
        for known in self._trace.functions[len(self._owner) :]:
            key = known.library, plain_name(known.name)
            self._owner.append(self._owners.setdefault(key, len(self._owners)))
        return self._owner[function] if function >= 0 else -1

    def _assign(self, level: Array, parent: Array, state: _Thread, sites: Array) -> Array:
        """The node of each open call, level by level; calls carried over have theirs."""
        carried = len(state.node)
        node = np.empty(len(level), np.int64)
        node[:carried] = state.node
        rows = np.arange(carried, len(level))
        order = rows[np.argsort(np.minimum(level[carried:], MAXIMUM_DEPTH + 1).astype(np.uint8), kind="stable")]
        bounds = np.searchsorted(level[order], np.arange(MAXIMUM_DEPTH + 2))
        for depth in range(MAXIMUM_DEPTH + 1):
            mine = order[bounds[depth] : bounds[depth + 1]]
            if len(mine):
                above = node[parent[mine]] if depth else np.full(len(mine), state.sites.root)
                node[mine] = self._intern(above, sites[mine - carried], state.sites)
        deep = order[bounds[-1] :]
        if len(deep):
            jump = np.where(level > MAXIMUM_DEPTH, parent, np.arange(len(level)))
            while (level[jump] > MAXIMUM_DEPTH).any():  # halves the way to the ancestor each time
                jump = jump[jump]
            node[deep] = self._intern(node[jump[deep]], sites[deep - carried], state.sites)
        return node

    def _intern(self, above: Array, sites: Array, state: _Sites) -> Array:
        keys, inverse = np.unique((above << 32) | sites, return_inverse=True)
        found = np.empty(len(keys), np.int64)
        for at, key in enumerate(keys.tolist()):
            node = state.known.get(key)
            if node is None:
                caller, function = state.pair_list[key & 0xFFFFFFFF]
                node = state.known[key] = self._new(key >> 32, caller, function, state.root)
            found[at] = node
        return found[inverse]

    def _new(self, above: int, caller: int, function: int, root: int) -> int:
        if caller >= 0 and self._owner_of(caller) != self._owner_of(self._tree.function[above]):
            above = self._enter(above, caller, site=True, root=root)
        return self._enter(above, function, site=False, root=root)

    def _enter(self, parent: int, function: int, *, site: bool, root: int = -1) -> int:
        key = (parent, function) if parent >= 0 else (-1, len(self._tree))  # each process has a root of its own
        node = self._nodes.get(key)
        if node is None and len(self._tree) >= MAXIMUM_NODES and parent not in (root, -1):
            self._tree.truncated = True
            return self._enter(root, function, site=site, root=root)
        if node is None:
            node = self._nodes[key] = len(self._tree)
            self._tree.parent.append(parent)
            self._tree.function.append(function)
            self._tree.site.append(site)
        elif not site:
            self._tree.site[node] = False
        return node


class _Sites:
    """Call sites of a process: a call site is a calling function and the function that it calls."""

    def __init__(self, root: int) -> None:
        self.root = root
        self.numbers: dict[int, int] = {}  # mixed (return address, function) -> call site
        self.pairs: dict[tuple[int, int], int] = {}  # (calling function, function) -> call site
        self.pair_list: list[tuple[int, int]] = []
        self.known: dict[int, int] = {}  # (node, call site) -> node


class _Thread:
    """What is carried from block to block of a thread: the open calls, one a level. last: the time of its last event."""

    def __init__(self, sites: _Sites) -> None:
        self.sites = sites
        self.stack: list[int] = []  # their raw depths
        self.node = np.zeros(0, np.int64)
        self.parent_node = np.zeros(0, np.int64)
        self.start = np.zeros(0, np.int64)
        self.last = 0

    def carry(self, found: Levels, node: Array, parent_node: Array, start: Array) -> None:
        self.stack, self.node, self.parent_node, self.start = found.stack, node, parent_node, start
