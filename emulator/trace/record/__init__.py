"""Recording calls, system calls and signals of a run.

    record_options     what is recorded, as the user says it; filters: which calls
    recorder           Recorder: the tracer as a participant of a run (RunHooks), program after program
    program_recording  one program: its events, from the backend to the output
    recorded_files     finds libraries as they are mapped, numbers their functions, describes them
    recording_hooks    who takes part in a recording (the ABI check), and what is called when
    known_files        a mapped file: its functions, slots and thunks
    bindings           symbol bindings, as they happen; loaded_objects: what the dynamic linker has mapped, and scopes
    wants              which arguments are copied, by prototypes
    process_output     from one process to the sink of all
    backend            the interface of what makes records; select_backend: which one
    native_backend     ... by native/recorder.c
    python_backend     ... the same bytes in Python, with call_stacks, guest_reader and x87_double

No Python runs for an event: everything but the backends runs once a mapping, a function, a system call or a program. A new kind of event is a
number in store/format.py and an `event` of the backend; events that are calls are made in both backends.
"""
