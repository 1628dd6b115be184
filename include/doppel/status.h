/* status.h - what every fallible function returns.
 *
 * Every fallible function of Doppel returns a dp_status. The message that belongs to it (which thing, which unit,
 * which place) is kept in the context (context.h) and written by the deepest frame that knew.
 *
 * Only four kinds of trouble exist: a bug (asserted), bad input, the environment (memory, disk), and an *outcome* such
 * as "did not converge", which is not an error but a reason inside a result.
 *
 *     dp_kind *kind = NULL;
 *     DP_TRY(dp_kind_load(ctx, "twins/theophylline", &kind));
 */
#ifndef DOPPEL_STATUS_H
#define DOPPEL_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

/* name, exit code of the command line, sentence, advice to the user. Everything about a status is generated from this. */
#define DP_STATUS_LIST(X)                                                                                     \
  X(OK, 0, "done", "")                                                                                        \
  X(ERR_USAGE, 2, "the call or command line makes no sense", "see --help")                                    \
  X(ERR_INPUT, 3, "the input is not valid", "correct the named place in the input")                           \
  X(ERR_CONFLICT, 4, "something of that name exists already", "choose another name or remove the old one")    \
  X(ERR_DENIED, 5, "this may not be done", "ask somebody who may")                                            \
  X(ERR_CONVERGE, 6, "a numerical method did not converge", "see the reason; loosen nothing blindly")         \
  X(ERR_UNSUPPORTED, 7, "this is valid but not supported", "the named construct must be avoided")             \
  X(ERR_NUMERIC, 6, "a number left its domain", "see the named quantity and time")                            \
  X(ERR_MEMORY, 75, "out of memory", "use fewer members or a larger machine")                                 \
  X(ERR_IO, 75, "a file could not be read or written", "check path, permissions and disk space")              \
  X(ERR_CANCELLED, 75, "stopped on request", "run it again to go on")                                         \
  X(ERR_RANK, 75, "another process of this run ended early", "see its message; run it again")                  \
  X(ERR_BUG, 70, "Doppel is at fault", "please report this with the message")

typedef enum dp_status {
#define DP_STATUS_ENUM(name, code, sentence, advice) DP_##name,
  DP_STATUS_LIST(DP_STATUS_ENUM)
#undef DP_STATUS_ENUM
      DP_STATUS_COUNT
} dp_status;

/* The status's name ("ERR_INPUT"), sentence, advice, and the exit code the command line gives for it. Never NULL. */
const char *dp_status_name(dp_status status);
const char *dp_status_sentence(dp_status status);
const char *dp_status_advice(dp_status status);
int dp_status_exit_code(dp_status status);

/* Return from the current function when a call fails. */
#define DP_TRY(call)                      \
  do {                                    \
    dp_status dp_try_ = (call);           \
    if (dp_try_ != DP_OK) return dp_try_; \
  } while (0)

#ifdef __cplusplus
}
#endif
#endif
