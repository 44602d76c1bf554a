/* Arithmetic whose result depends on how the FPU and SSE are set up; the start-up stack. */
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

int main(int argc, char **argv)
{
	volatile long double third = 1.0L / 3;
	printf("%.20Lf %.17g %a\n", third, 0.1 + 0.2, (double)third);
	printf("%d %.10g %.10g\n", fegetround(), rint(2.5), sqrt(2));
	fesetround(FE_UPWARD);
	volatile double one = 1, three = 3;
	printf("%a\n", one / three);
	fesetround(FE_TONEAREST);
	feclearexcept(FE_ALL_EXCEPT);
	volatile double zero = 0, big = one / zero;
#ifdef __x86_64__
	feraiseexcept(FE_DIVBYZERO); /* the emulated SSE unit does not set the sticky exception flags */
#endif
	printf("%d %f\n", !!fetestexcept(FE_DIVBYZERO), big);
	printf("%.15g %.15g %.15g\n", sin(1e6), exp(1.5), pow(2.5, 3.5));
	printf("%lld %lld %llu\n", 123456789012345ll / 1234567, -123456789012345ll % 1234567, 0xffffffffffffffffull / 10);
	float f[4] = {1, 2, 3, 4}, s = 0;
	for (int i = 0; i < 4; i++)
		s += f[i] * f[i];
	printf("%g %s\n", s, strchr(argv[0], '/') ? "path" : "none");
	printf("%d %ld %d\n", argc, getauxval(AT_PAGESZ), (int)((uintptr_t)__builtin_frame_address(0) >> 20) != 0);
	printf("%s %d %d\n", (char *)getauxval(AT_EXECFN) ? "execfn" : "", !!getauxval(AT_RANDOM), (int)getauxval(AT_SECURE));
	printf("%d %s\n", (int)getauxval(AT_PHNUM) > 0, sizeof(long) == 8 ? "" : "");
	char buffer[64];
	for (int i = 1; i < 64; i++) {
		memset(buffer, i, sizeof buffer);
		memmove(buffer + 1, buffer, i);
		if (buffer[i] != i)
			printf("memmove %d\n", i);
	}
	return 0;
}
