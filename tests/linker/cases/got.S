// GOT entries on x86-64: relaxed and unrelaxed forms of loads, calls and jumps.
//#Machines: x86_64
//#Object: inputs/exit_with.c
//#Object: inputs/absolute.S
 .globl test, value
 .data
value: .quad 20
 .text
test: push %rbx
 mov value@GOTPCREL(%rip),%rax        # relaxed to lea
 mov (%rax),%rbx
 mov value@GOTPCREL(%rip),%r12
 add (%r12),%rbx                      # 40
 cmp value@GOTPCREL(%rip),%r12        # stays: needs the entry
 jne bad
 mov absolute@GOTPCREL(%rip),%r13
 mov %r13,%rcx
 cmp $0x12345678,%rcx
 jne bad
 call *one@GOTPCREL(%rip)
 add %rax,%rbx
 push value@GOTPCREL(%rip)            # no relaxed form
 pop %rdx
 cmp %rdx,%r12
 jne bad
 movabs $nowhere,%rdx
 test %rdx,%rdx
 jne bad
 mov nowhere@GOTPCREL(%rip),%rdx
 test %rdx,%rdx
 jne bad
 lea _GLOBAL_OFFSET_TABLE_(%rip),%rdx
 movabs $value@GOTOFF,%rax
 add %rdx,%rax
 cmp %rax,%r12
 jne bad
 movabs $value@GOT,%rax
 cmp (%rdx,%rax),%r12
 jne bad
 mov %rbx,%rax
 pop %rbx
 jmp *finish@GOTPCREL(%rip)
bad: mov $1,%eax
 pop %rbx
 ret
 .globl one, finish
one: mov $1,%eax
 ret
finish: inc %eax
 ret
 .weak nowhere
