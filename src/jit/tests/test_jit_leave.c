/* A process that leaves while code is being compiled ends like any other: LLVM's exit functions wait until the thread
 * has come out (base/leaving.c). Children are let go after more and more time: while LLVM is opened, in a first unit,
 * in later ones. */
#include "jit_check.h"

#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NCHILD = 48 };

/* what the child leaves behind, still in reach */
static dpi_tape *tape;
static dpi_jit *job;

static void leave_after(double seconds, bool by_exit) {
  const struct timespec pause = {0, (long)(1e9 * seconds)};
  dpi_jit_opts opts = dpi_jit_opts_default();
  dpi_jit_unit unit[DPI_NWIDTH];
  ctx = make_ctx(NULL);
  tape = random_tape(5, 1500, 40, NULL);
  if (dpi_jit_start(ctx, unit, units_of(tape, unit), &opts, &job) != DP_OK) _exit(3);
  nanosleep(&pause, NULL);
  if (by_exit) exit(0);
  dpi_jit_destroy(job); /* the ordinary way */
  dpi_tape_destroy(tape);
  dp_ctx_destroy(ctx);
  exit(0);
}

static void leaving_is_safe(void **state) {
  (void)state;
  for (int k = 0; k < NCHILD; k++) {
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) leave_after(0.0025 * k, k % 8 != 7);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
      fail_msg("left after %g ms: %s %d", 2.5 * k, WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
  }
}

/* Nobody is inside: nothing to wait for; work that begins when main leaves is turned away. */
static void entering_is_counted(void **state) {
  (void)state;
  assert_false(dpi_background_ending());
  assert_true(dpi_background_enter());
  dpi_background_leave();
  assert_false(dpi_background_ending());
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(entering_is_counted), cmocka_unit_test(leaving_is_safe)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
