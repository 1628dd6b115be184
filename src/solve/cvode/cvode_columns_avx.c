/* cvode_columns_avx.c - floor 3, private to cvode: sensitivities in AVX registers (compiled with -mavx). */
#include "solve/cvode/cvode_columns.h"

#if defined(__x86_64__)
#define KERNELS dpi_columns_avx
#define WIDE 4
#include "solve/cvode/cvode_columns_body.h"
#endif
