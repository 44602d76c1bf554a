// The same in the large and medium code models.
//#Machines: x86_64
//#Variant: -O1 -mcmodel=large
//#Variant: -O1 -fPIC -mcmodel=large
//#Variant: -O1 -mcmodel=medium -mlarge-data-threshold=8
//#Variant: -O1 -fPIC -mcmodel=medium -mlarge-data-threshold=8
//#Object: inputs/basics2.c
#include "basics.c"
