/* insulin_impl.h - floor 8: virtual people and twins under a therapy, as the experiment's files share them. */
#ifndef DPI_INSULIN_IMPL_H
#define DPI_INSULIN_IMPL_H

#include "base/base.h"
#include "doppel/insulin.h"
#include "doppel/tune.h"
#include "format/table.h"
#include "infer/infer.h"
#include "kind/kind_impl.h"

enum {
  DPI_INSULIN_STEP = 5,
  DPI_INSULIN_DAY = 1440 / DPI_INSULIN_STEP,
  DPI_INSULIN_MEALS = 6 /* a day, at most */
};

/* Food of some days; times are multiples of 5 min. */
typedef struct dpi_meals {
  int days, n;
  double *time, *gram; /* [n] */
  double *error;       /* [n] of the sensor at the meal, mg/dL: the bolus goes by a reading */
} dpi_meals;

/* A model with the rule of therapy in it. */
typedef struct dpi_insulin_world {
  dp_kind *kind;
  bool person; /* a virtual person's body; else a twin's model */
  int announced, reading_error, ratio, factor, basal, cho, emptied, meal, glucose, given, decide, act;
  int late; /* control of what leaves the stomach late; -1: the twin has none */
} dpi_insulin_world;

dp_status dpi_insulin_world_open(dp_ctx *ctx, const char *dir, bool person, dpi_insulin_world *out);
void dpi_insulin_world_close(dpi_insulin_world *w);
/* n members with parameters param [n x nparam] over the meals' days: glucose where the sensor is, every 5 min, [n x
 * (days * DPI_INSULIN_DAY + 1)]; boluses [n x meals->n] unless NULL. error [n x meals->n]: each member's own errors
 * of the readings at meals; NULL: the meals' for all. A member that fails is ERR_NUMERIC with its reason. */
dp_status dpi_insulin_live(const dpi_insulin_world *w, const double *param, int n, const dpi_meals *meals,
                           const double *error, double *glucose, double *bolus);

/* The table of virtual people. */
typedef struct dpi_insulin_people {
  dpi_table *t;
  int id, bw, basal, cr, cf;
} dpi_insulin_people;
dp_status dpi_insulin_people_read(dp_ctx *ctx, const char *dir, dpi_insulin_people *out);
/* Parameters [nparam] of person `row` in their own world under a therapy. */
dp_status dpi_insulin_person_param(const dpi_insulin_world *w, const dpi_insulin_people *p, int row,
                                   dp_insulin_therapy therapy, double *param);

typedef struct dpi_insulin_case { /* one person of the experiment */
  const dp_insulin_def *def;
  const dpi_insulin_world *body, *model;
  const dp_kind *kind; /* the twin's, as its folder has it */
  const dp_prior *prior;
  const dp_tune *tune; /* NULL: nothing is tuned */
  const dpi_insulin_people *people;
  int row;
  const char *id;
  double bw, basal, cr, cf;
  uint64_t stream;
} dpi_insulin_case;
/* Meals of `days` days, of their own for each number: same person and number, same meals. */
dp_status dpi_insulin_meals_make(dpi_arena *arena, const dpi_insulin_case *c, int number, int days, dpi_meals *out);
/* The sensor's errors at all times: [days DPI_INSULIN_DAY + 1], and into meals->error where `into`. */
dp_status dpi_insulin_errors(const dpi_insulin_case *c, int number, dpi_meals *meals, double *error);
/* Parameters of the twin's draw [neta] under a therapy. */
void dpi_insulin_twin_param(const dpi_insulin_case *c, const double *eta, dp_insulin_therapy therapy, double *param);
/* What the twin may know of the days under A, as a record in the work folder. */
dp_status dpi_insulin_record(const dpi_insulin_case *c, const dpi_meals *meals, const double *shown,
                             const double *bolus, dp_record **out);
/* What draws of a belief say of the meals' days, errors of the model and of the sensor included (insulin_outlook.c). */
typedef struct dpi_insulin_outlook {
  const dpi_insulin_case *c;
  const dp_belief *belief;
  const dpi_meals *meals; /* their own errors of readings are not used */
  int n, nt;              /* draws; times, every 5 min */
  double *sensor, *drift; /* [n x nt] what a draw has of its own, under every therapy */
  double *start, *other;  /* [n x nt] by the model alone: under A; scratch */
  double *basal, *bolus;  /* [n] errors of the change that is foretold, shares */
} dpi_insulin_outlook;
/* All of it the arena's; case, belief and meals are borrowed. */
dp_status dpi_insulin_outlook_make(dpi_arena *arena, const dpi_insulin_case *c, const dp_belief *b, int n,
                                   const dpi_meals *meals, dpi_insulin_outlook *o);
/* Glucose where the sensor is, without its errors: [n x nt]. */
dp_status dpi_insulin_outlook_say(dpi_insulin_outlook *o, dp_insulin_therapy therapy, double *glucose);
/* The file that a therapy is chosen by; ERR_INPUT where it is about anything but basal rate, CR and CF. */
dp_status dpi_insulin_tuning_open(dp_ctx *ctx, const dp_insulin_def *def, dp_tune **out);
/* C of a usable belief: A where nothing is better in the file's sense. */
dp_status dpi_insulin_tune(dpi_arena *arena, const dpi_insulin_case *c, const dp_belief *b, dp_insulin_therapy *out);
/* The meals' days under a rule: glucose where the sensor is every 5 min. The twin's boluses go by `tuned`, the others'
 * by A. Without a usable belief the twin's loop is the open one. */
enum { DPI_INSULIN_LOOP_DRAWS = 64 };
dp_status dpi_insulin_loop(const dpi_insulin_case *c, const dp_belief *b, dp_insulin_rule rule,
                           dp_insulin_therapy tuned, const dpi_meals *meals, const double *error, double *glucose);
void dpi_insulin_ranges(const double *glucose, int n, double *in_range, double *low);

#endif
