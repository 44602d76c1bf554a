 .globl far
 .set far, 0x123456789abc
