/* incidence_avx.c - floor 3, private to linear: products and exponentials by AVX (compiled with -mavx). */
#include "solve/linear/incidence.h"

#if defined(__x86_64__)
#define OPS dpi_incidence_avx
#define WIDE 4
#include "solve/linear/incidence_body.h"
#endif
