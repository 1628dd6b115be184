/* petab_impl.h - floor 3, private to the folder: how PEtab problems are read.
 *
 *     petab_read.c     the grouping file, the order of reading, errors one by one or all of them
 *     petab_params.c   parameter table, priors as written
 *     petab_observe.c  observable table, placeholders, observables inside formulas
 *     petab_course.c   condition and experiment tables of both versions -> experiments of periods
 *     petab_measure.c  measurement table
 *     petab_names.c    names against the model
 *     petab_notes.c    what is allowed but probably not meant
 *     petab_expr.c     text of an expression -> tree;  petab_eval.c  values, derivatives, text in our syntax
 *     petab_prior.c    densities of priors
 */
#ifndef DPI_PETAB_IMPL_H
#define DPI_PETAB_IMPL_H

#include "format/petab.h"
#include "format/table.h"

enum {
  PETAB_DEPTH = 200,     /* of an expression */
  PETAB_EXPAND = 200000, /* nodes of all formulas after observables were put in */
  PETAB_FILES = 1000,
};
#define PETAB_FILE_SIZE ((size_t)256 << 20)

/* ---- expressions ---- */
typedef enum petab_op {
  PETAB_NUMBER,
  PETAB_NAME,
  PETAB_SUM,     /* sign[i]: '+' or '-'; the first is '+' */
  PETAB_PRODUCT, /* '*' or '/'; the first is '*' */
  PETAB_LOGIC,   /* '&' or '|', from left to right: both bind alike */
  PETAB_RELATION,
  PETAB_POWER,
  PETAB_MINUS,
  PETAB_NOT,
  PETAB_CALL,
} petab_op;
typedef enum petab_relation { PETAB_LT, PETAB_LE, PETAB_GT, PETAB_GE, PETAB_EQ, PETAB_NE } petab_relation;

/* function, fewest and most arguments */
#define PETAB_FUNCTIONS(X)                                                                                        \
  X(pow, 2, 2) X(exp, 1, 1) X(sqrt, 1, 1) X(log, 1, 2) X(ln, 1, 1) X(log2, 1, 1) X(log10, 1, 1) X(sin, 1, 1)      \
  X(cos, 1, 1) X(tan, 1, 1) X(cot, 1, 1) X(sec, 1, 1) X(csc, 1, 1) X(arcsin, 1, 1) X(arccos, 1, 1)               \
  X(arctan, 1, 1) X(arccot, 1, 1) X(arcsec, 1, 1) X(arccsc, 1, 1) X(sinh, 1, 1) X(cosh, 1, 1) X(tanh, 1, 1)      \
  X(coth, 1, 1) X(sech, 1, 1) X(csch, 1, 1) X(arcsinh, 1, 1) X(arccosh, 1, 1) X(arctanh, 1, 1) X(arccoth, 1, 1)  \
  X(arcsech, 1, 1) X(arccsch, 1, 1) X(piecewise, 3, 199) X(abs, 1, 1) X(sign, 1, 1) X(min, 2, 2) X(max, 2, 2)
typedef enum petab_function {
#define PETAB_FUNCTION_ENUM(name, least, most) PETAB_FN_##name,
  PETAB_FUNCTIONS(PETAB_FUNCTION_ENUM)
#undef PETAB_FUNCTION_ENUM
      PETAB_FN_COUNT
} petab_function;
const char *petab_function_name(int fn);

struct dpi_petab_expr {
  petab_op op;
  int fn;    /* RELATION: petab_relation; CALL: petab_function */
  int name;  /* NAME */
  int narg, depth;
  long size; /* nodes */
  double value;
  const dpi_petab_expr **arg;
  const char *sign; /* [narg] of SUM, PRODUCT, LOGIC */
};

/* ---- the problem while it is read ---- */
struct petab_private {
  dpi_map names; /* id -> name[] */
  int cap_name, cap_parameter, cap_observable, cap_experiment, cap_measurement, cap_note;
};

typedef struct petab_files { /* names of table files, joined to the folder */
  int n;
  const char **path;
} petab_files;

/* What belongs together: all of version 2, one of version 1's problems. */
typedef struct petab_group {
  int model; /* version 1: model[] of the problem; version 2: -1 */
  petab_files observable, condition, experiment, measurement, mapping;
} petab_group;

typedef struct petab_condition {
  const char *id;
  int nchange, cap;
  dpi_petab_change *change; /* grown; version 1: value NULL where the cell is NaN */
  dpi_petab_place place;
  bool used;
} petab_condition;

typedef struct petab_step { /* a row of the experiment table */
  double time;
  int condition; /* -1: none */
  int row;       /* order of reading */
  dpi_petab_place place;
} petab_step;

typedef struct petab_course { /* an experiment as the table has it */
  const char *id;
  int nstep, cap;
  petab_step *step;
  dpi_petab_place place;
  bool used;
} petab_course;

typedef struct petab_overrides { /* a cell "a;b;c", kept once */
  int n;
  const dpi_petab_expr **value;
} petab_overrides;

typedef struct petab_reader {
  dp_ctx *ctx;
  dpi_petab *p;
  const dpi_petab_def *def;
  dpi_petab_issues *issues; /* NULL: stop at the first */
  dpi_sha256 *hash;
  petab_files parameter;
  int ngroup, cap_group;
  petab_group *group;
  /* of the group that is being read */
  dpi_map observables, conditions, courses, models, experiments, cells;
  int first_observable;
  int ncondition, cap_condition;
  petab_condition *condition;
  int ncourse, cap_course;
  petab_course *course;
  int ncell, cap_cell;
  petab_overrides *cell;
} petab_reader;

typedef struct petab_sheet {
  petab_reader *r;
  dpi_table *t;
  const char *file; /* in the arena */
} petab_sheet;

/* In a lint: note an error of the input and go on; else the status itself. */
dp_status petab_note(petab_reader *r, dp_status status);
/* A file's bytes, added to the hash; free with dpi_free. */
dp_status petab_load(petab_reader *r, const char *path, char **data, size_t *size);
dp_status petab_grouping(petab_reader *r, const char *text, size_t size);

/* Tables. Every row is handed to `row`; what is wrong with one row does not keep a lint from reading the next.
 * `head` looks the columns up. */
typedef dp_status (*petab_head)(petab_sheet *s, void *columns);
typedef dp_status (*petab_row)(petab_sheet *s, int row, void *columns);
dp_status petab_sheet_read(petab_reader *r, const char *path, petab_head head, petab_row row, void *columns);
dp_status petab_sheet_read_all(petab_reader *r, const petab_files *files, petab_head head, petab_row row,
                               void *columns);
dpi_petab_place petab_place(const petab_sheet *s, int row, const char *column);
const char *petab_cell(const petab_sheet *s, int row, int column);
bool petab_empty(const char *cell);
/* An identifier in the cell: copied to the arena, valid, not reserved. */
dp_status petab_cell_id(petab_sheet *s, int row, int column, const char *label, const char **out);
/* "a;b" -> texts between the separators, blanks cut off; none for an empty cell. */
dp_status petab_split(dpi_petab *p, const char *cell, const char ***out, int *n);

dp_status petab_read_parameters(petab_reader *r);
dp_status petab_read_mapping(petab_reader *r, const petab_group *g);
dp_status petab_read_observables(petab_reader *r, const petab_group *g);
dp_status petab_read_conditions(petab_reader *r, const petab_group *g);
dp_status petab_read_experiments(petab_reader *r, const petab_group *g);
dp_status petab_read_measurements(petab_reader *r, const petab_group *g);
/* Version 2: the experiment of a course (-1: the model as it is) with a model; version 1: of two conditions (-1:
 * none). */
dp_status petab_experiment_v2(petab_reader *r, int course, int model, int *out);
dp_status petab_experiment_v1(petab_reader *r, int before, int condition, int model, int *out);
void petab_group_clear(petab_reader *r);

/* name[] of an id; adds it with kind MODEL. */
dp_status petab_name(dpi_petab *p, const char *id, size_t n, const dpi_petab_place *place, int *out);
dp_status petab_memory(dpi_petab *p);
/* Notes (petab_notes.c): petab_remark adds one; the others look for what is probably not meant. */
dp_status petab_remark(dpi_petab *p, const dpi_petab_place *place, const char *fmt, ...) DPI_PRINTF(3, 4);
dp_status petab_note_group(petab_reader *r);
/* Columns that are none of PEtab's for this table but nearly one of them. */
dp_status petab_note_columns(petab_sheet *s, const char *const *words, int n);
/* "file:line: column X: ..." */
dp_status petab_fail(dpi_petab *p, const dpi_petab_place *place, dp_status status, const char *fmt, ...)
    DPI_PRINTF(4, 5);
bool petab_valid_id(const char *id);
bool petab_reserved(const char *id);
/* ln of the probability between lower and upper. */
double petab_log_mass(const dpi_petab_prior *prior);
/* e with each name n for which put(user, n) gives an expression replaced by it. */
dp_status petab_replace(dpi_petab *p, const dpi_petab_expr *e, const dpi_petab_place *place,
                        const dpi_petab_expr *(*put)(void *user, int name), void *user, long *budget,
                        const dpi_petab_expr **out);
void petab_add_issue(dpi_petab_issues *issues, dp_status status, const char *text);

#endif
