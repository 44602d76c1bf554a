// Values that do not fit their fields: each is named with its range, all in one go.
//#Machines: x86_64
//#Object: inputs/exit_with.c
//#Object: inputs/far.S
//#ExpectError: overflow.*\.o:\(\.data\+0x0\): far: R_X86_64_32 out of range: 0x123456789abc is not between 0x0 and 0xffffffff
//#ExpectError: R_X86_64_8 out of range
//#ExpectError: R_X86_64_PC32 out of range
 .globl test
 .data
 .long far
 .byte test
 .text
test: mov far(%rip),%eax
 ret
