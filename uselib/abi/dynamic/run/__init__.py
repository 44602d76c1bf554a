"""One program against two versions of a library: recorded, compared, explained.

result.py      the contract: AbiRequest -> AbiResult
run.py         compare_runs     inputs.py   the request's files, read     bindings.py   what the program is bound to
side.py        one run in a process of its own; side_run.py: its job and what it leaves on disk; side_recording.py: what is recorded
               data_watch.py   accesses to exported data     digest.py   digests of all events
digest_comparison.py   whether two runs are the same
compare.py     if they differ: two processes that correspond (process_pair.py, streams.py) ->
               compare_calls.py, compare_data.py, compare_effects.py   the first difference of each kind; the earliest counts
               compare_bindings.py   calls and accesses that reached something other than what the program was bound to
               compared_words.py, pointers.py   which words are compared, when two pointers count as the same
explain.py, static_findings.py   the change of the library behind a difference     coverage.py   what the run exercised
identity_copy.py   a copy of a library that start-up accepts
render.py      the result for people; exit_text.py: how a process ended
"""
