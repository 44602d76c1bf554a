"""mkshlib --previous: how a release keeps the addresses that programs linked with earlier releases have.

    previous.py     reads the release before: the history in a target or stub library
    history.py      History: slots and places of all releases of a major version, as dataclasses and as text
    rules.py        ReleaseStep: from one release to the next; what a change means for the version number
    names.py        matches old names with new ones: kept, renamed, retired, offered again, new
    slots.py        gives each function its slot
    places.py       decides which bytes of .exported earlier releases use
    arrangement.py  lays out .exported around them
    record.py       applies all of it to the symbols and sections of one link, and writes the history of this release

A first release takes the same steps, without an earlier history.
"""
