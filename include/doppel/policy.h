/* policy.h - a policy: the rule by which doses follow from what was read.  O, D -> U
 *
 * A policy is a file (policy.yaml, docs/trial.md) of one of five kinds: `rule` (formulas), `plan` (given times),
 * `process` (a
 * program outside, one line of JSON in, one out), `library` (a shared object, below) and `twin` (a belief is updated
 * by what was
 * read and a plan searched on it, anew at every decision). Rules can be compiled into a sim; all kinds but `plan` can
 * be asked
 * person by person, at each of their decisions:
 *
 *     dp_policy *policy;  dp_policy_session *session;
 *     DP_TRY(dp_policy_read(kind, "pid.yaml", &policy));
 *     DP_TRY(dp_policy_open(policy, &person, &session));
 *     DP_TRY(dp_policy_step(session, &input, give));          at t = 0, every, 2 every, ...
 *     dp_policy_close(session);
 *     dp_policy_destroy(policy);
 *
 * A policy is constant; a session changes and belongs to one thread; sessions of different people are asked by different threads at
 * once, which a library must be able to bear. A process that hangs, dies or answers nonsense is
 * stopped,
 * which is recorded with time and reason, and its fallback decides from then on: a step of it does not fail for that.
 */
#ifndef DOPPEL_POLICY_H
#define DOPPEL_POLICY_H

#include "doppel/kind.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dp_policy_kind {
  DP_POLICY_RULE,
  DP_POLICY_PLAN,
  DP_POLICY_PROCESS,
  DP_POLICY_LIBRARY,
  DP_POLICY_TWIN,
} dp_policy_kind;

typedef struct dp_policy dp_policy;

typedef struct dp_policy_desc { /* strings belong to the policy */
  dp_policy_kind kind;
  const char *id, *name, *source; /* source: path of its file */
  char hash[65];                  /* of its file and of all files it names */
  double every;                   /* time units of the kind between decisions */
  int nread, nannounce, nperson, ngive;
  const char *const *read;        /* local names */
  const char *const *read_of;     /* observable (as measured) or quantity (as it is) of the kind */
  const char *const *announce;    /* local names of what people say beforehand, */
  const char *const *announce_of; /* and the inputs they say it of */
  const char *const *person;      /* numbers of a person that it may use */
  const char *const *give;        /* controls or parameters of the kind that it sets */
} dp_policy_desc;

/* ERR_INPUT with file and line; paths in the file are taken from the file's own folder. */
dp_status dp_policy_read(const dp_kind *kind, const char *path, dp_policy **out);
void dp_policy_destroy(dp_policy *policy); /* NULL allowed */
const dp_policy_desc *dp_policy_describe(const dp_policy *policy);

/* ---- asked by one person ---- */

typedef struct dp_policy_person {
  const char *id;
  const double *value;   /* [nperson] */
  uint64_t seed, stream; /* of its random numbers, should it want some */
} dp_policy_person;

typedef struct dp_policy_input {
  double time;            /* time units of the kind */
  double period;          /* since the last decision; at the first one `every` */
  const double *read;     /* [nread] NaN: missing */
  const double *announce; /* [nannounce] in this period; 0: nothing */
} dp_policy_input;

/* Something that went wrong with an outside policy and what was done about it. */
typedef struct dp_policy_incident {
  double time;
  char reason[160]; /* "no answer within 2 s" */
} dp_policy_incident;

typedef struct dp_policy_session dp_policy_session;
dp_status dp_policy_open(const dp_policy *policy, const dp_policy_person *person, dp_policy_session **out);
/* What is given now: amounts of controls, new values of parameters; NaN: left as it is. ERR_NUMERIC: a rule gave no
 * number. */
dp_status dp_policy_step(dp_policy_session *session, const dp_policy_input *input, double *give /*[ngive]*/);
int dp_policy_nincident(const dp_policy_session *session);
const dp_policy_incident *dp_policy_incidents(const dp_policy_session *session);
void dp_policy_close(dp_policy_session *session); /* NULL allowed; ends its process */

/* ---- a policy as a shared object: it exports `const dp_policy_library doppel_policy;` ---- */

#define DP_POLICY_ABI 1

typedef struct dp_policy_library {
  uint32_t abi;  /* DP_POLICY_ABI */
  uint32_t size; /* sizeof(dp_policy_library) when it was compiled */
  const char *name;
  /* A person's controller, NULL: none. What desc says of order and names holds for all arrays below; parameters are the
   * numbers of policy.yaml's `parameters`, in its order. */
  void *(*open)(const dp_policy_desc *desc, const dp_policy_person *person, const double *parameter, int nparameter);
  /* 0 and give [ngive]; else it failed and the fallback decides from now on. */
  int (*step)(void *self, const dp_policy_input *input, double *give);
  void (*close)(void *self);
} dp_policy_library;

#ifdef __cplusplus
}
#endif
#endif
