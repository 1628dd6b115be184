/* engine.h - what this processor and installation offer to those who simulate many members.
 *
 *     dp_engine e = dp_engine_describe();
 *     printf("%d lanes, %s\n", e.lanes, e.instructions);
 */
#ifndef DOPPEL_ENGINE_H
#define DOPPEL_ENGINE_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_engine {  /* all strings are constants */
  const char *arithmetic;   /* "fma" or "nofma", as dp_arithmetic() */
  const char *instructions; /* "avx512", "avx2", "sse2", "neon", "plain": of the widest lanes */
  int lanes;                /* members side by side: 8, 4, 2 or 1 */
  int compiler;             /* not 0: LLVM is there (looking opens it); else models are interpreted */
} dp_engine;
dp_engine dp_engine_describe(void);

#ifdef __cplusplus
}
#endif
#endif
