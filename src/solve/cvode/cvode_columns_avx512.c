/* cvode_columns_avx512.c - floor 3, private to cvode: sensitivities in AVX-512 registers (compiled with -mavx512f). */
#include "solve/cvode/cvode_columns.h"

#if defined(__x86_64__)
#define KERNELS dpi_columns_avx512
#define WIDE 8
#include "solve/cvode/cvode_columns_body.h"
#endif
