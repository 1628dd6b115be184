/* incidence_avx512.c - floor 3, private to linear: products and exponentials by AVX-512 (compiled with -mavx512f
 * -mavx512dq). */
#include "solve/linear/incidence.h"

#if defined(__x86_64__)
#define OPS dpi_incidence_avx512
#define WIDE 8
#include "solve/linear/incidence_body.h"
#endif
