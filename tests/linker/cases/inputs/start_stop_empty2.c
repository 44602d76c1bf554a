__asm__(".section empty,\"aw\"\n.section other,\"a\"\n.text\n");
