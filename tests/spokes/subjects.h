/* subjects.h - what the conformance suite is run on: one entry for each spoke (and method) in subjects.c. */
#ifndef DP_TEST_SUBJECTS_H
#define DP_TEST_SUBJECTS_H

#include "test_spokes.h"

typedef struct subject_value {
  const char *id;
  double value;
} subject_value;

typedef struct subject {
  const char *name;
  const char *spoke, *config, *method;
  const char *model;        /* Antimony text, NULL: none */
  const dp_output_def *output; /* [noutput] the first is the state that doses go to */
  int noutput;
  const char *target;       /* that state */
  const char *const *active;
  int nactive;
  subject_value param[8];   /* other than the defaults; the first is varied from member to member */
  subject_value blow_up;    /* makes a member fail after its start, before its end */
  const char *nan_param;    /* fails a member when it is NaN */
  subject_value change;     /* a parameter to switch */
  double dose, dose_step;   /* amount, and by how much it raises the first output */
  bool exact;               /* advancing in pieces changes no byte; else it stays within tol (relative) */
  double tol, jvp_tol;
  double step;              /* method fixed */
  bool time_dir;            /* offers derivatives of dose times */
  bool quick;               /* goes from any time and state to any time quickly: damaged states may be tried on it */
} subject;

extern const subject dp_test_subject[];
extern const int dp_test_nsubject;

/* A sim of this subject with one control "dose", and its model (NULL for most), both to be destroyed: sim first. rtol 0: the
 * default. */
dp_status dp_test_subject_sim(dp_ctx *ctx, const subject *s, double rtol, dp_model **model, dp_sim **sim);

#endif
