"""Reading traces: the model of a trace file and the views of it. Nothing here runs a program or knows Unicorn."""
