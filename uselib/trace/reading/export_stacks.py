"""Stacks with weights, from the calling-context tree: folded stacks (Brendan Gregg's format) and speedscope's JSON.

Weights are self time in the trace's clock (or calls, see _weights), summed over equal stacks: the size depends on the number of different
paths, not of events. speedscope gets one sampled profile a process, ordered by path, as its Left Heavy view would be."""

from __future__ import annotations

import json
import os
from typing import BinaryIO

from uselib.trace.reading.calltree import CallTree, build
from uselib.trace.reading.decoding import Decoder
from uselib.trace.reading.model import TracedProcess, TraceFile


def _stacks(tree: CallTree, root: int, weight: list[int]) -> list[tuple[list[int], int]]:
    """(functions from outermost, weight) of each node below `root` that has a weight."""
    children = tree.children()
    found: list[tuple[list[int], int]] = []
    todo: list[tuple[int, list[int]]] = [(root, [])]
    while todo:
        node, path = todo.pop()
        if tree.parent[node] >= 0:
            path = [*path, tree.function[node]]
            if weight[node]:
                found.append((path, weight[node]))
        todo += [(child, path) for child in reversed(children[node])]
    return found


def _weights(trace: TraceFile, tree: CallTree, weight: str) -> list[int]:
    """weight: time, calls, or empty. A clock that counts calls gives a leaf no time: calls themselves are the weight then."""
    otherwise = "calls" if trace.clock == "calls" else "time"
    chosen = tree.calls if (weight or otherwise) == "calls" else tree.self_time
    result: list[int] = chosen.tolist()
    return result


def folded(trace: TraceFile, processes: list[TracedProcess], decoder: Decoder, weight: str, out: BinaryIO) -> None:
    """`hello;main;libc_s!printf 12`."""
    tree = build(trace, processes)
    weights_of = _weights(trace, tree, weight)
    labels = [f.label.replace(";", ":").replace(" ", "_") for f in trace.functions]
    for process in processes:
        name = os.path.basename(process.program).replace(";", ":").replace(" ", "_") or "?"
        if len(processes) > 1:
            name += f"-{process.pid}"
        for path, amount in _stacks(tree, tree.roots[process.index], weights_of):
            out.write((";".join([name, *(labels[f] for f in path)]) + f" {amount}\n").encode())


def speedscope(trace: TraceFile, processes: list[TracedProcess], decoder: Decoder, weight: str, out: BinaryIO) -> None:
    """https://www.speedscope.app/file-format-schema.json, profiles of type "sampled"."""
    tree = build(trace, processes)
    weights_of = _weights(trace, tree, weight)
    profiles = []
    for process in processes:
        rows = _stacks(tree, tree.roots[process.index], weights_of)
        weights = [amount for _, amount in rows]
        profiles.append(
            {
                "type": "sampled",
                "name": process.title,
                "unit": "none",
                "startValue": 0,
                "endValue": sum(weights),
                "samples": [path for path, _ in rows],
                "weights": weights,
            }
        )
    document = {
        "$schema": "https://www.speedscope.app/file-format-schema.json",
        "exporter": "uselib",
        "name": os.path.basename(trace.path),
        "activeProfileIndex": 0,
        "profiles": profiles,
        "shared": {"frames": [{"name": f.label, "file": f.file} for f in trace.functions]},
    }
    for piece in json.JSONEncoder(separators=(",", ":")).iterencode(document):
        out.write(piece.encode())
    out.write(b"\n")
