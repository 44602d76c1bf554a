// COMDAT: the first group with a signature stays; references from the other file go to it.
//#Machines: x86_64
//#Object: inputs/comdat2.s
//#Object: inputs/exit_with.c
//#ExpectSym: once
 .section .text.once,"axG",@progbits,once,comdat
 .weak once
 .type once,@function
once: mov $42,%eax
 ret
 .text
 .globl test
test: call once
 push %rbx
 mov %eax,%ebx
 call second
 cmp %eax,%ebx
 pop %rbx
 je 1f
 mov $1,%eax
1: ret
