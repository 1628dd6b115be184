/* policy_process.c - floor 7: a policy as a program outside: one JSON object a line in, one out, over its standard
 * input and
 * output. docs/trial.md tells its author what to read and write.
 *
 *     ->
 *     {"doppel":"policy","version":1,"policy":"x","person":"adult#001","period":5,"values":{"CR":12},"parameters":{},
 *         "gives":["basal_rate","bolus"]}                                       <- {"ready":1}
 *     -> {"time":0,"period":5,"reads":{"g":140},"announces":{"meal":0}}         <-
 *     {"gives":{"basal_rate":1.2,"bolus":0}}
 *
 * Nothing it does may hurt: it has its own process group, which is killed when it answers late, too long, or nonsense;
 * its words
 * on standard error go nowhere; its death is seen and no signal of it reaches us. A number that is missing is null.
 */
#include "policy/policy_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { longest_line = 65536 };

extern char **environ;

struct dpi_process {
  const dp_policy *policy;
  pid_t pid;
  int fd;      /* our end of its standard input and output */
  size_t have; /* bytes read and not yet taken */
  char line[longest_line + 1];
};

/* ---- the child ---- */

static bool spawn(const dp_policy *p, int child, pid_t *pid) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attr;
  sigset_t none, usual;
  if (posix_spawn_file_actions_init(&actions) != 0) return false;
  if (posix_spawnattr_init(&attr) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return false;
  }
  sigemptyset(&none);
  sigemptyset(&usual);
  sigaddset(&usual, SIGPIPE); /* who calls us may ignore it; a program that writes to nobody shall end */
  bool good = posix_spawn_file_actions_adddup2(&actions, child, 0) == 0 &&
              posix_spawn_file_actions_adddup2(&actions, child, 1) == 0 &&
              posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) == 0 &&
              posix_spawnattr_setpgroup(&attr, 0) == 0 && posix_spawnattr_setsigmask(&attr, &none) == 0 &&
              posix_spawnattr_setsigdefault(&attr, &usual) == 0 &&
              posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) ==
                  0;
  good = good && posix_spawnp(pid, p->process.command[0], &actions, &attr, p->process.command, environ) == 0;
  posix_spawnattr_destroy(&attr);
  posix_spawn_file_actions_destroy(&actions);
  return good;
}

void dpi_process_close(dpi_process *p) {
  if (!p) return;
  if (p->fd >= 0) close(p->fd);
  if (p->pid > 0) {
    kill(-p->pid, SIGKILL);
    kill(p->pid, SIGKILL); /* itself, should it have gone to another group */
    while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR) continue;
  }
  dpi_free(p->policy->ctx, p);
}

/* ---- lines ---- */

static int left_ms(double until) {
  const double left = (until - dpi_clock_s()) * 1e3;
  return left <= 0 ? 0 : left > 1e6 ? 1000000 : (int)left + 1;
}

/* Wait for `events`; false when the time is over. */
static bool wait_for(dpi_process *p, short events, double until) {
  for (;;) {
    struct pollfd f = {p->fd, events, 0};
    const int ms = left_ms(until), n = poll(&f, 1, ms);
    if (n > 0) return true;
    if (n < 0 && errno != EINTR) return false;
    if (n == 0 || ms == 0) return false;
  }
}

static bool late(const char *what, double seconds, char reason[160]) {
  snprintf(reason, 160, "%s within %g s", what, seconds);
  return false;
}

static bool send_line(dpi_process *p, const char *text, size_t n, double seconds, double until, char reason[160]) {
  while (n > 0) {
    const ssize_t k = send(p->fd, text, n, MSG_NOSIGNAL);
    if (k > 0) {
      text += k;
      n -= (size_t)k;
    } else if (k < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      if (!wait_for(p, POLLOUT, until)) return late("it did not read its input", seconds, reason);
    } else if (k < 0 && errno != EINTR) {
      snprintf(reason, 160, "it ended without an answer");
      return false;
    }
  }
  return true;
}

/* The next line without its end, in p->line; *used: bytes to drop afterwards. */
static bool take_line(dpi_process *p, double seconds, double until, size_t *used, char reason[160]) {
  for (size_t seen = 0;;) {
    char *end = memchr(p->line + seen, '\n', p->have - seen);
    if (end) {
      *end = 0;
      *used = (size_t)(end - p->line) + 1;
      return true;
    }
    seen = p->have;
    if (p->have == longest_line) {
      snprintf(reason, 160, "its answer is longer than %d bytes", longest_line);
      return false;
    }
    const ssize_t k = recv(p->fd, p->line + p->have, longest_line - p->have, 0);
    if (k > 0) {
      p->have += (size_t)k;
    } else if (k == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
      snprintf(reason, 160, "it ended without an answer");
      return false;
    } else if (!wait_for(p, POLLIN, until)) {
      return late("no answer", seconds, reason);
    }
  }
}

/* Has it said nothing since its last answer? An answer to no question would be taken for that to the next. */
static bool silent(dpi_process *p, char reason[160]) {
  char c;
  if (recv(p->fd, &c, 1, MSG_PEEK) <= 0) return true; /* its end, too, is seen later */
  snprintf(reason, 160, "it wrote before it was asked");
  return false;
}

/* Question and answer: the answer's object, or NULL and why. */
static json_t *ask(dpi_process *p, json_t *question, double seconds, char reason[160]) {
  const double until = dpi_clock_s() + seconds;
  char *text = question ? json_dumps(question, JSON_COMPACT) : NULL;
  const size_t n = text ? strlen(text) : 0;
  size_t used = 0;
  bool good = text != NULL;
  if (!good) snprintf(reason, 160, "out of memory");
  good = good && silent(p, reason) && send_line(p, text, n, seconds, until, reason) &&
         send_line(p, "\n", 1, seconds, until, reason) && take_line(p, seconds, until, &used, reason);
  free(text);
  if (!good) return NULL;
  json_error_t error;
  json_t *answer = json_loads(p->line, JSON_REJECT_DUPLICATES, &error);
  p->line[120] = 0; /* it is only quoted from now on */
  if (!json_is_object(answer)) {
    snprintf(reason, 160, "its answer is no JSON object: '%.60s'", p->line);
    json_decref(answer);
    answer = NULL;
  }
  memmove(p->line, p->line + used, p->have - used);
  p->have -= used;
  if (answer && p->have > 0) { /* more than one answer to one question: nobody knows to which the next belongs */
    snprintf(reason, 160, "it wrote more than one line");
    json_decref(answer);
    answer = NULL;
  }
  return answer;
}

/* ---- what is said ---- */

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *named(const char *const *id, const double *value, int n) {
  json_t *o = json_object();
  for (int i = 0; i < n; i++) json_object_set_new(o, id[i], number(value[i]));
  return o;
}

static json_t *hello(const dp_policy *p, const dp_policy_person *person) {
  json_t *o = json_object(), *gives = json_array();
  for (int i = 0; i < p->desc.ngive; i++) json_array_append_new(gives, json_string(p->desc.give[i]));
  json_object_set_new(o, "doppel", json_string("policy"));
  json_object_set_new(o, "version", json_integer(1));
  json_object_set_new(o, "policy", json_string(p->desc.id));
  json_object_set_new(o, "person", json_string(person->id));
  json_object_set_new(o, "seed",
                      json_integer((json_int_t)((person->seed ^ (person->stream * 0x9E3779B97F4A7C15u)) >> 2)));
  json_object_set_new(o, "period", number(p->desc.every));
  json_object_set_new(o, "time_unit", json_string(p->kind->time_unit));
  json_object_set_new(o, "values", named(p->desc.person, person->value, p->desc.nperson));
  json_object_set_new(o, "parameters",
                      named((const char *const *)p->rule.parameter, p->rule.value, p->rule.nparameter));
  json_object_set_new(o, "gives", gives);
  return o;
}

dp_status dpi_process_open(const dp_policy *policy, const dp_policy_person *person, dpi_process **out,
                           char reason[160]) {
  int end[2];
  *out = NULL;
  dpi_process *p = DPI_NEW(policy->ctx, dpi_process);
  if (!p) return DP_ERR_MEMORY;
  p->policy = policy;
  p->fd = -1;
#ifdef SOCK_CLOEXEC /* at once: other threads start programs too, which must not inherit these */
  const int type = SOCK_STREAM | SOCK_CLOEXEC;
#else
  const int type = SOCK_STREAM;
#endif
  if (socketpair(AF_UNIX, type, 0, end) != 0) {
    dpi_process_close(p);
    return dpi_fail(policy->ctx, DP_ERR_IO, "%s: no pair of sockets: %s", policy->desc.source, strerror(errno));
  }
  p->fd = end[0];
  fcntl(end[0], F_SETFD, FD_CLOEXEC);
  fcntl(end[1], F_SETFD, FD_CLOEXEC);
  fcntl(end[0], F_SETFL, O_NONBLOCK);
  bool good = spawn(policy, end[1], &p->pid);
  close(end[1]);
  if (!good) {
    p->pid = 0;
    snprintf(reason, 160, "'%.80s' can't be started", policy->process.command[0]);
  }
  json_t *question = good ? hello(policy, person) : NULL;
  json_t *answer = good ? ask(p, question, policy->process.start_s, reason) : NULL;
  if (answer && json_integer_value(json_object_get(answer, "ready")) != 1) {
    snprintf(reason, 160, "its first answer is not {\"ready\":1}");
    good = false;
  }
  good = good && answer;
  json_decref(question);
  json_decref(answer);
  if (good)
    *out = p;
  else
    dpi_process_close(p);
  return DP_OK;
}

/* {"gives":{"name":number, ...}}: all of them, no other. */
static bool read_gives(const dp_policy *p, const json_t *answer, double *give, char reason[160]) {
  const json_t *gives = json_object_get(answer, "gives");
  if (!json_is_object(gives)) {
    snprintf(reason, 160, "its answer has no \"gives\"");
    return false;
  }
  for (int i = 0; i < p->desc.ngive; i++) {
    const json_t *x = json_object_get(gives, p->desc.give[i]);
    give[i] = json_is_number(x) ? json_number_value(x) : NAN;
    if (!isfinite(give[i]) && !json_is_null(x)) {
      snprintf(reason, 160, "it gave no number for '%.80s'", p->desc.give[i]);
      return false;
    }
  }
  if ((int)json_object_size(gives) == p->desc.ngive) return true;
  snprintf(reason, 160, "it gave something that the policy does not give");
  return false;
}

bool dpi_process_step(dpi_process *p, const dp_policy_input *in, double *give, char reason[160]) {
  const dp_policy_desc *d = &p->policy->desc;
  json_t *question = json_object();
  json_object_set_new(question, "time", number(in->time));
  json_object_set_new(question, "period", number(in->period));
  json_object_set_new(question, "reads", named(d->read, in->read, d->nread));
  json_object_set_new(question, "announces", named(d->announce, in->announce, d->nannounce));
  json_t *answer = ask(p, question, p->policy->process.step_s, reason);
  const bool good = answer && read_gives(p->policy, answer, give, reason);
  json_decref(question);
  json_decref(answer);
  return good;
}
