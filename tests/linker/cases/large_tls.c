// The same in the large and medium code models.
//#Machines: x86_64
//#Variant: -O1 -mcmodel=large -ftls-model=global-dynamic
//#Variant: -O1 -fPIC -mcmodel=large -ftls-model=global-dynamic
//#Variant: -O1 -fPIC -mcmodel=large -ftls-model=local-dynamic
//#Variant: -O1 -mcmodel=medium -mlarge-data-threshold=8
//#Variant: -O1 -fPIC -mcmodel=medium -mlarge-data-threshold=8
//#Object: inputs/tls2.c
#include "tls.c"
