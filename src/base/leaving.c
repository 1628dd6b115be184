/* leaving.c - floor 0: threads of ours that are still at work when the process ends.
 *
 * A library opened by us (LLVM) has exit functions of its own. They destroy what a thread inside that library is using,
 * so a program that returns from main without closing what it opened would crash now and then. Nothing registered by
 * atexit helps: such libraries register more functions while they work, and those run first. What does run first of all
 * is the end of the leaving thread's own data. So the main thread gets such an end here: it tells background work to
 * come out at its next opportunity and waits until it has.
 *
 * Not covered: a process that another thread than main ends by exit() (and systems without this function of the C
 * library). There the rule is the old one: close first.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/base.h"

/* these belong to the process and not to a context */
static atomic_int inside; /* threads at work */
static atomic_bool ending;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local int inside_here; /* of `inside` this thread: it can't wait for itself */

/* Who counts itself in and then sees `ending` goes out again; who does not see it is waited for. */
bool dpi_background_enter(void) {
  atomic_fetch_add(&inside, 1);
  if (atomic_load(&ending)) {
    atomic_fetch_sub(&inside, 1);
    return false;
  }
  inside_here++;
  return true;
}

void dpi_background_leave(void) {
  inside_here--;
  atomic_fetch_sub(&inside, 1);
}

bool dpi_background_ending(void) { return atomic_load(&ending); }

#ifdef __linux__
/* of the C library: as thread_local objects of C++ have it; NULL where it has none */
extern int __cxa_thread_atexit_impl(void (*end)(void *), void *object, void *library) __attribute__((weak));

static void wait_for_threads(void *unused) {
  (void)unused;
  const struct timespec pause = {0, 200000};
  atomic_store(&ending, true);
  while (atomic_load(&inside) > inside_here) nanosleep(&pause, NULL);
}

/* a child of fork has none of its parent's threads */
static void forget_threads(void) { atomic_store(&inside, inside_here); }

static void watch(void) {
  if (__cxa_thread_atexit_impl == NULL || pthread_atfork(NULL, NULL, forget_threads) != 0) return;
  (void)__cxa_thread_atexit_impl(wait_for_threads, NULL, &once);
}

void dpi_background_watch(void) {
  if (syscall(SYS_gettid) == getpid()) (void)pthread_once(&once, watch);
}
#else
void dpi_background_watch(void) {}
#endif
