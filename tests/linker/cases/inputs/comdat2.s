 .section .text.once,"axG",@progbits,once,comdat
 .weak once
 .type once,@function
once: mov $7,%eax
 ret
 .text
 .globl second
second: jmp once
