// 8- and 16-bit fields.
//#Object: inputs/exit_with.c
//#Object: inputs/absolute.S
 .globl test
 .text
test: xor %eax,%eax
 mov byte_field,%al
 cmp $17,%al
 jne bad
 mov word_field,%ax
 cmp $0x8123,%ax
 jne bad
 jmp near
 .data
byte_field: .byte tiny
word_field: .word medium
difference: .byte tiny-10
 .text
bad: mov $1,%eax
 ret
near: movzbl difference,%eax
 cmp $7,%al
 jne bad
 mov $42,%eax
 ret
