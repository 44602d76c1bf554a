"""`uselib trace tui FILE`: a trace on the terminal. Only command.py may be imported without Textual.

index.py    a few bytes for each event: depth, kind, function
walk.py     ends, callers, returns of calls, found in these
pages.py    whole events, some at a time, read from the file when they are shown
view.py     which events are listed: filters and folds
text.py     an event as a line, and as details
listing.py, summary_tab.py, bindings_tab.py, app.py   the widgets     typed_ahead.py   keys that come fast
keys.py, style.py   keys and their help; colours     status.py   the texts above and below
"""
