// GOT entries on i386: relaxed and unrelaxed forms, with and without a base register.
//#Machines: i386
//#Object: inputs/exit_with.c
 .globl test, value
 .data
value: .long 20
 .text
test: push %ebx
 push %esi
 call 1f
1: pop %ebx
 add $_GLOBAL_OFFSET_TABLE_+[.-1b],%ebx
 mov value@GOT(%ebx),%eax             # relaxed to lea
 mov (%eax),%esi
 mov value@GOT,%ecx                   # relaxed to mov $value
 add (%ecx),%esi
 cmp value@GOT(%ebx),%ecx             # needs the entry
 jne bad
 lea value@GOTOFF(%ebx),%edx
 cmp %edx,%ecx
 jne bad
 call *one@GOT(%ebx)
 add %eax,%esi
 mov nowhere@GOT(%ebx),%edx
 test %edx,%edx
 jne bad
 mov %esi,%eax
 pop %esi
 push %eax
 mov finish@GOT(%ebx),%edx
 pop %eax
 pop %ebx
 jmp *%edx
bad: mov $1,%eax
 pop %esi
 pop %ebx
 ret
 .globl one, finish
one: mov $1,%eax
 ret
finish: inc %eax
 ret
 .weak nowhere
