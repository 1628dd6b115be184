/* bench_json.c - floor 8: a row as a JSON object, for all who print rows. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "bench/bench_impl.h"

/* A caller's text and how much of it would be written, as snprintf counts. */
typedef struct text {
  char *to;
  size_t size, n;
} text;

static void add(text *s, const char *fmt, ...) DPI_PRINTF(2, 3);
static void add(text *s, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  const size_t room = s->n < s->size ? s->size - s->n : 0;
  const int n = vsnprintf(room > 0 ? s->to + s->n : NULL, room, fmt, args);
  va_end(args);
  if (n > 0) s->n += (size_t)n;
}

static void words(text *s, const char *name, const char *v) {
  add(s, "%s\"%s\":\"", s->n > 1 ? "," : "", name);
  for (; *v; v++) {
    const unsigned char c = (unsigned char)*v;
    if (c < 32)
      add(s, "\\u%04x", c);
    else
      add(s, c == '"' || c == '\\' ? "\\%c" : "%c", c);
  }
  add(s, "\"");
}

static void number(text *s, const char *name, double x) {
  add(s, isfinite(x) ? ",\"%s\":%.6g" : ",\"%s\":null", name, x);
}

static void errors(text *s, const char *prefix, const dp_bench_error *e) {
  char name[48];
  const double value[] = {e->largest, e->rms, e->p95, e->median};
  static const char *const suffix[] = {"", "_rms", "_p95", "_median"};
  for (int k = 0; k < DPI_COUNT(value); k++) {
    snprintf(name, sizeof name, "%s%s", prefix, suffix[k]);
    number(s, name, value[k]);
  }
}

static void ours(text *s, const dp_bench_row *r) {
  const int whole[] = {r->nstate, r->nout, r->nmember, r->nthread, r->nsample, r->nfailed};
  static const char *const name[] = {"states", "outputs", "members", "threads", "sample", "failed"};
  for (int k = 0; k < DPI_COUNT(whole); k++) add(s, ",\"%s\":%d", name[k], whole[k]);
  number(s, "end", r->t_end);
  number(s, "rtol", r->rtol);
  number(s, "atol", r->atol);
  number(s, "seconds", r->seconds);
  number(s, "seconds_median", r->seconds_median);
  number(s, "us_per_member", r->seconds / r->nmember * 1e6);
  if (r->cold_s > 0) number(s, "cold_seconds", r->cold_s);
  if (r->cold_s > 0) number(s, "cold_first_seconds", r->cold_one_s);
  if (r->cached_s > 0) number(s, "cached_seconds", r->cached_s);
  if (r->cached_s > 0) number(s, "cached_first_seconds", r->cached_one_s);
  errors(s, "error", &r->error);
}

static void peers(text *s, const dp_bench_row *r) {
  words(s, "peer", r->peer);
  words(s, "peer_solver", r->peer_solver);
  add(s, ",\"peer_failed\":%d", r->peer_nfailed);
  number(s, "peer_rtol", r->peer_rtol);
  number(s, "peer_atol", r->peer_atol);
  number(s, "peer_seconds", r->peer_seconds);
  number(s, "peer_seconds_median", r->peer_seconds_median);
  number(s, "peer_us_per_member", r->peer_seconds / r->nmember * 1e6);
  if (r->peer_steps > 0) number(s, "peer_steps", r->peer_steps);
  errors(s, "peer_error", &r->peer_error);
  number(s, strcmp(r->peer, "cvode") == 0 ? "ratio_to_cvode" : "ratio", r->ratio);
  if (r->peer_version[0]) words(s, "peer_version", r->peer_version);
}

size_t dp_bench_row_json(const dp_bench_row *r, char *to, size_t size) {
  text s = {.to = to, .size = size};
  if (size > 0) to[0] = '\0';
  add(&s, "{");
  words(&s, "name", r->name);
  if (r->skipped[0]) {
    words(&s, "skipped", r->skipped);
  } else {
    ours(&s, r);
    if (r->peer[0]) peers(&s, r);
    if (r->other_seconds > 0) {
      words(&s, "other_cvode", r->other_version);
      words(&s, "other_solver", r->other_solver);
      number(&s, "other_seconds", r->other_seconds);
      number(&s, "ratio_to_other_cvode", r->other_ratio);
    }
  }
  add(&s, "}");
  return s.n;
}
