"""One function of two versions, called with generated arguments.

spec.py          the contract: ProbeRequest -> ProbeResult with a Witness
probe.py         probe, replay     search.py   one function     sequences.py   calls that follow one another (--state)
strategies.py    C types -> strategies of values (values.py), with constants of the code (hints.py)
pair.py          both versions loaded, one call on both
argument_layout.py, call.py, saved_state.py   arguments in their places, one call, the state before it
compare_outcomes.py   two outcomes -> the first difference     shrink.py   smaller arguments
text.py, c_text.py, write.py   the result for people, calls as C, a witness as a test
"""
