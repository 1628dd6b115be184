/* output.c - what goes to files and standard output: JSON texts, numbers that read back, a report's place; can a file
 * be read. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"

void cli_json_text(const char *s) {
  putchar('"');
  for (; *s; s++) {
    unsigned char c = (unsigned char)*s;
    if (c == '"' || c == '\\')
      printf("\\%c", c);
    else if (c < 32)
      printf("\\u%04x", c);
    else
      putchar(c);
  }
  putchar('"');
}

void cli_json_named(const char *before, const char *s) {
  printf("%s", before);
  cli_json_text(s);
}

void cli_json_number(const char *before, double x) { printf(isfinite(x) ? "%s%.10g" : "%snull", before, x); }
void cli_json_exact(const char *before, double x) { printf(isfinite(x) ? "%s%.17g" : "%snull", before, x); }

const char *cli_unit(const char *unit, char out[64]) {
  snprintf(out, 64, "%s", !unit || strcmp(unit, "1") == 0 ? "" : unit);
  for (char *p = out; (p = strstr(p, "10*")) != NULL; p += 3) p[2] = '^';
  return out;
}

const char *cli_clip(const char *s, int width, char out[96]) {
  const size_t n = strlen(s), most = (size_t)width;
  if (n <= most) {
    memcpy(out, s, n + 1);
    return out;
  }
  size_t kept = most - 3;
  while (kept > 0 && ((unsigned char)s[kept] & 0xC0) == 0x80) kept--; /* no letter is cut in two */
  memcpy(out, s, kept);
  memcpy(out + kept, "...", 4);
  return out;
}

int cli_readable(const char *path) {
  struct stat st;
  FILE *f = fopen(path, "rb");
  int why = f ? 0 : errno;
  if (f && fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) why = EISDIR;
  if (f) fclose(f);
  if (!why) return 0;
  fprintf(stderr, "doppel: %s: cannot be read: %s\n", path, strerror(why));
  const bool machine = why == EIO || why == ENOMEM || why == EMFILE || why == ENFILE;
  return dp_status_exit_code(machine ? DP_ERR_IO : DP_ERR_INPUT);
}

int cli_writable(const char *path) {
  char folder[1100];
  struct stat st;
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 1;
  if (!path[0] || n >= sizeof folder) {
    fprintf(stderr, "doppel: the output's path is %s\n", path[0] ? "too long" : "empty");
    return dp_status_exit_code(DP_ERR_USAGE);
  }
  snprintf(folder, sizeof folder, "%.*s", slash && n == 0 ? 1 : (int)n, slash ? path : ".");
  if (stat(path, &st) == 0 && !S_ISREG(st.st_mode)) { /* a report takes the place of the file of its name */
    fprintf(stderr, "doppel: %s: exists and is no plain file; nothing was run\n", path);
    return dp_status_exit_code(DP_ERR_IO);
  }
  if (stat(folder, &st) == 0 && !S_ISDIR(st.st_mode)) errno = ENOTDIR;
  else if (access(folder, W_OK | X_OK) == 0) return 0;
  fprintf(stderr, "doppel: %s: cannot be written: %s; nothing was run\n", path, strerror(errno));
  return dp_status_exit_code(DP_ERR_IO);
}
