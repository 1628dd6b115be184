/* unit_table.c - UCUM's symbols: finding them, splitting off prefixes, guessing what was meant. */
#include "num/unit_impl.h"

#include <stdio.h>
#include <string.h>

#define UCUM_PREFIX(code, num, exp10)
#define UCUM_UNIT(code, metric, num, den, exp10, offset, m, s, g, rad, k, c, cd, mol, function,   \
                  arbitrary)                                                                      \
  {code,     metric, num, den, exp10, offset, {m, s, g, rad, k, c, cd, mol}, DPI_UNIT_##function, \
   arbitrary},
static const dpi_unit_row table[] = {
#include "num/ucum_table.inc"
};
#undef UCUM_PREFIX
#undef UCUM_UNIT

#define UCUM_PREFIX(code, num, exp10) {code, num, exp10},
#define UCUM_UNIT(code, metric, num, den, exp10, offset, m, s, g, rad, k, c, cd, mol, function, \
                  arbitrary)
static const dpi_unit_prefix prefixes[] = {
#include "num/ucum_table.inc"
};

/* strcmp of a zero-terminated code with n bytes */
static int compare(const char *code, const char *text, size_t n) {
  int c = strncmp(code, text, n);
  return c ? c : code[n] != '\0';
}

const dpi_unit_row *dpi_unit_find(const char *code, size_t n) {
  int low = 0, high = DPI_COUNT(table) - 1;
  while (low <= high) {
    int mid = (low + high) / 2, c = compare(table[mid].code, code, n);
    if (c == 0) return &table[mid];
    if (c < 0)
      low = mid + 1;
    else
      high = mid - 1;
  }
  return NULL;
}

bool dpi_unit_split(const char *code, size_t n, const dpi_unit_prefix **prefix,
                    const dpi_unit_row **row) {
  /* the longer prefix first: "da" before "d" */
  for (size_t len = 2; len >= 1; len--) {
    for (int i = 0; i < DPI_COUNT(prefixes) && n > len; i++) {
      if (strlen(prefixes[i].code) != len || strncmp(prefixes[i].code, code, len) != 0) continue;
      const dpi_unit_row *r = dpi_unit_find(code + len, n - len);
      if (!r || !r->metric) continue;
      *prefix = &prefixes[i];
      *row = r;
      return true;
    }
  }
  return false;
}

/* What people write and UCUM does not; compared without regard to case. */
static const struct {
  const char *wrong, *right;
} habits[] = {
    {"mcg", "ug"},
    {"gamma", "ug"},
    {"gm", "g"},
    {"gram", "g"},
    {"grams", "g"},
    {"kgs", "kg"},
    {"mgs", "mg"},
    {"cc", "mL"},
    {"ccm", "cm3"},
    {"iu", "[iU]"},
    {"ie", "[iU]"},
    {"unit", "U or [iU]"},
    {"units", "U or [iU]"},
    {"hr", "h"},
    {"hrs", "h"},
    {"hour", "h"},
    {"hours", "h"},
    {"sec", "s"},
    {"secs", "s"},
    {"mins", "min"},
    {"minute", "min"},
    {"minutes", "min"},
    {"day", "d"},
    {"days", "d"},
    {"week", "wk"},
    {"weeks", "wk"},
    {"month", "mo"},
    {"months", "mo"},
    {"year", "a"},
    {"years", "a"},
    {"yr", "a"},
    {"yrs", "a"},
    {"lb", "[lb_av]"},
    {"lbs", "[lb_av]"},
    {"oz", "[oz_av]"},
    {"inch", "[in_i]"},
    {"ft", "[ft_i]"},
    {"mmhg", "mm[Hg]"},
    {"cmh2o", "cm[H2O]"},
    {"ppm", "[ppm]"},
    {"ppb", "[ppb]"},
    {"degc", "Cel"},
    {"celsius", "Cel"},
    {"degf", "[degF]"},
    {"fahrenheit", "[degF]"},
    {"ph", "[pH]"},
    {"liter", "L"},
    {"litre", "L"},
    {"liters", "L"},
    {"litres", "L"},
    {"mole", "mol"},
    {"moles", "mol"},
    {"molar", "mol/L"},
    {"da", "u"},
    {"kda", "ku"},
    {"percent", "%"},
    {"pct", "%"},
    {"bpm", "/min"},
    {"beats", "{beats}"},
    {"cells", "{cells}"},
    {"copies", "{copies}"},
    {"tablet", "{tbl}"},
    {"tablets", "{tbl}"},
    {"drop", "[drp]"},
    {"drops", "[drp]"},
    {"mm", "mmol/L"},
    {"um", "umol/L"},
    {"nm", "nmol/L"},
    {"pm", "pmol/L"},
    {"eu", "[EU]"},
    {"cfu", "[CFU]"},
    {"pfu", "[PFU]"},
    {"hpf", "[HPF]"},
    {"lpf", "[LPF]"},
    {"psi", "[psi]"},
};

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static bool same_letters(const char *word, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!word[i] || lower(word[i]) != lower(text[i])) return false;
  }
  return word[n] == '\0';
}

static const char *habit(const char *code, size_t n) {
  for (int i = 0; i < DPI_COUNT(habits); i++) {
    if (same_letters(habits[i].wrong, code, n)) return habits[i].right;
  }
  return NULL;
}

/* The clinic's units, nearest first in a table of everything would offer furlongs. */
static const char *const common[] = {
    "g",       "mg",     "ug",   "ng",   "pg",     "kg",      "L",    "mL",    "dL",     "uL",
    "fL",      "mol",    "mmol", "umol", "nmol",   "pmol",    "[iU]", "m[iU]", "u[iU]",  "k[iU]",
    "U",       "mU",     "kU",   "eq",   "meq",    "osm",     "mosm", "s",     "min",    "h",
    "d",       "wk",     "mo",   "a",    "mm[Hg]", "cm[H2O]", "kPa",  "Cel",   "[degF]", "%",
    "kcal",    "cal",    "kJ",   "m",    "cm",     "mm",      "um",   "m2",    "[pH]",   "10*",
    "[lb_av]", "[in_i]", "kat",  "ukat", "nkat",   "mV"};

bool dpi_unit_suggest(const char *code, size_t n, char *hint, size_t size) {
  const char *word = habit(code, n);
  if (word) {
    snprintf(hint, size, "%s", word);
    return true;
  }
  for (int i = 0; i < DPI_COUNT(common); i++) {
    if (!same_letters(common[i], code, n)) continue;
    snprintf(hint, size, "%s", common[i]);
    return true;
  }
  /* a prefix before a habit: "mIU", "kIU" */
  if (n > 1 && strchr("munkpM", code[0]) && (word = habit(code + 1, n - 1)) && word[0] == '[') {
    snprintf(hint, size, "%c%s", code[0], word);
    return true;
  }
  char text[32];
  if (n >= sizeof text) return false;
  memcpy(text, code, n);
  text[n] = '\0';
  word = dpi_nearest_word(text, common, DPI_COUNT(common));
  if (word) {
    snprintf(hint, size, "%s", word);
    return true;
  }
  const char *codes[DPI_COUNT(table)];
  for (int i = 0; i < DPI_COUNT(table); i++) codes[i] = table[i].code;
  word = dpi_nearest_word(text, codes, DPI_COUNT(table));
  if (word) snprintf(hint, size, "%s", word);
  return word != NULL;
}
