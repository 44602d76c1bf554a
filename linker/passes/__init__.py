"""The passes of link(), in the order of linker/link.py.

model.py        the data of a link: object files, sections, symbols, output sections

libraries.py    finding and opening archives and stub libraries; linker_scripts.py: text files that name inputs
inputs.py       an object file's records, checked; object_formats.py: objects of other formats become ELF here
resolve.py      which files take part; resolution.py: what it finds out; definitions.py: which definition a name has;
                commons.py: tentative definitions
shared_inputs.py  shared objects: what they offer, which are needed; shared_dependencies.py: what they need and refer to
provided.py     symbols that the linker defines
gc.py, eh_frame.py  --gc-sections; unwind tables without the entries of discarded code
undefined.py    errors for undefined symbols; warning_sections.py: .gnu.warning.SYMBOL;
                thread_local.py: symbols that are thread-local in one file only
properties.py   .note.gnu.property of the inputs, merged
synthetic.py    sections that the linker adds; got.py: the GOT and its like; merge.py: strings kept once
scan.py         relocations, first look: what they need
layout.py       output sections, their order, their addresses
apply.py        relocations, second look: the contents change
symbol_values.py  the value of a reference to a symbol
file_forms.py   compressed debug information, no section headers, the loaded bytes alone
writer.py       the file's bytes; output_symbols.py: its symbol table; mapfile.py: -Map

native.py       whether the part in C is there (linker/native/); native_relocations.py: both looks at relocations,
                native_values.py: what references to symbols get; native_take.py: a file's global symbols;
                native_symbols.py: the symbol table; native_dynamic.py: the first look of dynamic outputs
columns.py      without it, large links: relocations and symbols in numpy arrays; column_relocations.py: both looks at
                relocations, column_symbols.py: the symbol table

kept_relocations.py  -r and --emit-relocs: relocations of the output; emitted_relocations.py: those of rewritten instructions

dynamic_symbols.py  dynamic outputs: what is exported, imported, preemptible; version_script.py: --version-script
dynamic_scan.py     what their relocations need; dynamic_words.py: words that are left to the dynamic linker;
                    dynamic_tables.py: GOT and PLT; dynamic_plt.py: the PLT; packed_relatives.py: .relr.dyn;
                    text_relocations.py: those that need writable code; copies.py: variables of shared objects;
                    dynamic_code.py: what each machine has for it;
                    x86_64_dynamic.py, i386_dynamic.py: thread-local data and PLT code of each machine

A relocation kind is a row in i386.py or x86_64.py; relocations.py has the vocabulary of rows, machines.py chooses the table.
"""
