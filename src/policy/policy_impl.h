/* policy_impl.h - ring two, floor 7: a policy as the rooms above (trial) see it; and what the files of this room share.
 *
 *     policy_read.c     policy.yaml -> dp_policy
 *     policy_text.c     words of formulas replaced; numbers with units
 *     policy_rule.c     a rule as formulas for a law of the waist, and as a tape asked by one person
 *     policy_session.c  one person's controller of any kind; fallback and incidents
 *     policy_process.c  a program outside      policy_library.c  a shared object
 *     policy_twin.c     a belief and a search of plans; or of moves: policy_twin.h says which files
 */
#ifndef DPI_POLICY_IMPL_H
#define DPI_POLICY_IMPL_H

#include "doppel/plan.h"
#include "doppel/policy.h"
#include "kind/kind_impl.h"
#include "kind/kind_yaml.h"

/* A name and its formula, and where that stands. */
typedef struct dpi_policy_formula {
  const char *id, *text; /* text NULL: none */
  int line;
} dpi_policy_formula;

typedef struct dpi_policy_rule {
  int nparameter, nstate, nlet;
  const char **parameter; /* [nparameter] names */
  double *value;
  const char **state; /* [nstate] */
  double *start;
  dpi_policy_formula *next; /* [nstate] text NULL: stays as it is */
  dpi_policy_formula *let;  /* [nlet] in order; each may use those before it */
  dpi_policy_formula *give; /* [ngive] */
} dpi_policy_rule;

typedef struct dpi_policy_process {
  int narg;
  char **command;         /* [narg + 1] ends with NULL */
  double start_s, step_s; /* how long it may take, seconds */
} dpi_policy_process;

typedef struct dpi_policy_horizon dpi_policy_horizon; /* policy_twin.h */

typedef struct dpi_policy_twin {
  dp_kind *kind;                             /* of the twin: its own, or NULL: that of the trial */
  int draws, proposals, observable, control; /* observable, control: rows of the twin's kind, of read[0] and give[0] */
  double wait;                               /* before the first decision, time units */
  dpi_policy_horizon *horizon;               /* moves over a look ahead; NULL: plans are searched */
} dpi_policy_twin;

struct dp_policy {
  dp_ctx *ctx;
  dpi_arena arena;
  const dp_kind *kind; /* borrowed */
  dp_policy_desc desc;
  int *observable, *quantity; /* [nread] rows of the kind, -1: the other */
  double *announce_factor;    /* [nannounce] from the unit of the input's control to the announced one */
  const char *folder;         /* of its file */
  dpi_policy_rule rule;       /* RULE; of the others its parameters */
  dpi_policy_process process;
  dpi_policy_twin twin;
  dp_plan *plan; /* PLAN */
  const char *library_path;
  void *library; /* LIBRARY: handle of the shared object */
  const dp_policy_library *table;
  dp_policy *fallback; /* NULL: none. Its reads, announces, numbers of a person and gives are among the policy's: */
  int *fallback_read, *fallback_announce, *fallback_person, *fallback_give;
};

/* All incidents of a session, those too that it did not keep (policy_session.c). */
int64_t dpi_policy_nnoted(const dp_policy_session *session);

/* ---- texts (policy_text.c) ---- */
bool dpi_policy_name(const char *id); /* a letter or _, then letters, digits, _; no word of the language of formulas */
/* text with every word that is one of names replaced by "(formula)", all at once. ERR_INPUT when it grows beyond 1
 * MiB. */
dp_status dpi_policy_replace(dp_ctx *ctx, dpi_arena *arena, const char *text, const char *const *name,
                             const char *const *formula, int n, const char **out);
/* "5 min" as a number of `unit`; a number alone is one already. where: place for messages. */
dp_status dpi_policy_quantity(dp_ctx *ctx, const char *where, const char *text, const char *unit, double molar_mass,
                              double *out);
/* The same of an entry of a map. NAN as fallback: required. */
dp_status dpi_policy_yaml_quantity(const dpi_yaml_doc *doc, const dpi_yaml *map, const char *key, const char *unit,
                                   double fallback, double *out);
/* Is it there, and no folder? NULL; else why not. */
const char *dpi_policy_no_file(const char *path);
/* A path named in a file of folder. */
const char *dpi_policy_path(dpi_arena *arena, const char *folder, const char *name);
const char *dpi_policy_folder(dpi_arena *arena, const char *path);

/* ---- rules (policy_rule.c) ---- */
/* A rule in words of a sim: what stands for the local names (formulas), and what comes out. All in arena. */
typedef struct dpi_policy_words {
  const char *const *read, *const *announce, *const *person; /* formulas for the local names */
  const char *const *state;                                  /* [nstate] parameters that hold its state */
} dpi_policy_words;
typedef struct dpi_policy_formulas {
  const char **next; /* [nstate] NULL: stays */
  const char **give; /* [ngive] */
} dpi_policy_formulas;
dp_status dpi_policy_formulas_make(const dp_policy *policy, const dpi_policy_words *words, dpi_arena *arena,
                                   dpi_policy_formulas *out);
typedef struct dpi_rule_session dpi_rule_session;
dp_status dpi_rule_open(const dp_policy *policy, const double *person, dpi_rule_session **out);
dp_status dpi_rule_step(dpi_rule_session *s, const dp_policy_input *input, double *give);
void dpi_rule_close(dpi_rule_session *s);

/* ---- the others: 0 or why it may not go on, into reason[160] ---- */
typedef struct dpi_process dpi_process;
dp_status dpi_process_open(const dp_policy *policy, const dp_policy_person *person, dpi_process **out,
                           char reason[160]);
bool dpi_process_step(dpi_process *p, const dp_policy_input *input, double *give, char reason[160]);
void dpi_process_close(dpi_process *p);
dp_status dpi_library_load(dp_policy *policy, const char *path);
void dpi_library_unload(dp_policy *policy);
typedef struct dpi_twin_session dpi_twin_session;
dp_status dpi_twin_policy_read(dp_policy *policy, const dpi_yaml_doc *doc);
dp_status dpi_twin_policy_open(const dp_policy *policy, const dp_policy_person *person, dpi_twin_session **out);
/* What went wrong with the environment is the status; that nothing is advised is *good = false with its reason. */
dp_status dpi_twin_policy_step(dpi_twin_session *s, const dp_policy_input *input, double *give, bool *good,
                               char reason[160]);
/* What was given in the end, by it or by its fallback. */
dp_status dpi_twin_policy_given(dpi_twin_session *s, double time, double amount);
void dpi_twin_policy_close(dpi_twin_session *s);

#endif
