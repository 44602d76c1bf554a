"""Reading traces: the model of a trace file and the views of it. Nothing here runs a program or knows Unicorn.

The file:    model.py (what it says, without its events), events.py (events as objects, streamed), blocks.py (records as arrays),
             bindings.py (symbol bindings between events), threads.py (whose event it is),
             selected_rows.py (records of some functions)
Names:       places.py (addresses), names.py (system calls, signals), lines.py (source lines), decoding.py (arguments and results)
Structure:   levels.py (which return ends which call), slices.py (balanced begins and ends), calltree.py (a node a path of calls),
             flow_reading.py (the flow of calls of a thread), flow.py (aligned with another by align.py), values.py (values that two
             runs can be compared by)
Views:       show.py, summary.py and summary_text.py, graph.py and graph_text.py, binding_graph.py, diff.py and diff_text.py,
             report/ (one HTML page)
Exports:     export.py (a row a format), export_chrome.py, export_perfetto.py, export_stacks.py, export_lines.py
Shared:      text.py, progress.py, last_lines.py

A new view is a module here and a subcommand in uselib/commands/trace; a new export format is a module and a row in export.py.
"""
