 .globl absolute, tiny, medium
 .set absolute, 0x12345678
 .set tiny, 17
 .set medium, 0x8123
