"""`uselib trace PROG`: calls shown while the program runs.

live_sink     records -> events (a sink of the recorder)
events        what there is to show
render_text, render_jsonl   an event as a line, for people and for programs
output        to stderr at once, or to a file
"""
