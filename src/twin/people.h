/* people.h - the people a prior is made from: the kind's own record, or the study's where the kind has none. */
#ifndef DPI_TWIN_PEOPLE_H
#define DPI_TWIN_PEOPLE_H

#include "twin/twin_impl.h"

typedef struct dpi_people {
  const dp_record *study;  /* borrowed */
  dp_record *own;          /* the kind's record, owned; NULL when it has none */
  const dp_record *source; /* one of the two */
  bool itself;             /* the study is the source */
} dpi_people;

/* May these two be one person? (people.c says by what) */
bool dpi_people_same(const dp_subject *a, const dp_subject *b);

dp_status dpi_people_create(const dp_kind *kind, const dp_record *study, dpi_people *out);
void dpi_people_release(dpi_people *p);
/* The prior of one person of the study, made without that person. */
dp_status dpi_people_prior(const dp_kind *kind, const dpi_people *p, int subject, const char *store, dp_prior **out);

#endif
