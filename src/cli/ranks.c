/* ranks.c - floor 9: many processes under mpirun. The plug-in libdoppel_mpi.so is opened only then: the program links
 * no MPI.
 *
 * All ranks run the same command; rank 0 drives and prints, the others are mute: what one of them says on standard
 * error is kept and given to rank 0 as the reason when it ends with trouble. A command that does not share work runs on
 * rank 0 alone.
 *
 * Where the plug-in is looked for: $DOPPEL_MPI (a file), beside the program, ../lib/doppel, and where the system looks.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define PLUGIN "libdoppel_mpi.so"

static struct {
  const dp_ranks_plugin *plugin;
  const dp_ranks *ranks;
  FILE *said; /* what this rank would have said on standard error */
  int stderr_was;
} own;

static int number_of(const char *const *name, int otherwise) {
  for (; *name; name++) {
    const char *text = getenv(*name);
    if (text && text[0]) return atoi(text);
  }
  return otherwise;
}

/* Of this process among those that a launcher started: Open MPI's names, then those of MPICH's and others'
 * launchers. */
static int count_told(void) {
  static const char *const name[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS", NULL};
  return number_of(name, 1);
}

static int rank_told(void) {
  static const char *const name[] = {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "MPI_LOCALRANKID", NULL};
  return number_of(name, 0);
}

int cli_rank(void) { return own.ranks ? own.ranks->rank : 0; }
int cli_nrank(void) { return own.ranks ? own.ranks->nrank : 1; }
const dp_ranks *cli_ranks(void) { return own.ranks; }

static void *open_beside(const char *where) {
  char path[1100];
  ssize_t n = readlink("/proc/self/exe", path, 1000);
  if (n <= 0) return NULL;
  path[n] = 0;
  char *slash = strrchr(path, '/');
  if (!slash) return NULL;
  snprintf(slash, sizeof path - (size_t)(slash - path), "/%s%s", where, PLUGIN);
  return access(path, R_OK) == 0 ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

static const dp_ranks_plugin *open_plugin(void) {
  const char *asked = getenv("DOPPEL_MPI");
  void *h = asked && asked[0] ? dlopen(asked, RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!h && !(asked && asked[0])) {
    h = open_beside("");
    if (!h) h = open_beside("../lib/doppel/");
    if (!h) h = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
  }
  return h ? dlsym(h, DP_RANKS_PLUGIN) : NULL;
}

/* This rank is heard no more. */
static void mute(void) {
  fflush(NULL);
  int nowhere = open("/dev/null", O_WRONLY);
  if (nowhere >= 0) {
    dup2(nowhere, STDOUT_FILENO);
    own.stderr_was = dup(STDERR_FILENO);
    own.said = tmpfile();
    dup2(own.said ? fileno(own.said) : nowhere, STDERR_FILENO);
    close(nowhere);
  }
}

/* The first line that was said, without the program's name. */
static const char *first_said(char *text, size_t size) {
  text[0] = 0;
  if (!own.said) return text;
  fflush(stderr);
  rewind(own.said);
  while (fgets(text, (int)size, own.said)) {
    text[strcspn(text, "\n")] = 0;
    if (strncmp(text, "doppel: no --end", 16) == 0 || strncmp(text, "doppel: warning", 15) == 0)
      continue;
    return strncmp(text, "doppel: ", 8) == 0 ? text + 8 : text;
  }
  text[0] = 0;
  return text;
}

int cli_ranks_join(bool share) {
  static char why[256];
  int n = count_told();
  if (n < 2) return 0;
  if (!share) {
    if (rank_told() > 0) exit(0); /* rank 0 does it alone */
    return 0;
  }
  own.plugin = open_plugin();
  if (!own.plugin || own.plugin->interface != DP_RANKS_INTERFACE) {
    if (rank_told() == 0)
      fprintf(stderr, "doppel: started as %d ranks, but %s can't be used: %s\n", n, PLUGIN,
              own.plugin ? "it is of another version" : "it is not there (built without MPI?)");
    return dp_status_exit_code(DP_ERR_UNSUPPORTED);
  }
  own.ranks = own.plugin->join(why, sizeof why);
  if (!own.ranks) {
    fprintf(stderr, "doppel: rank %d of %d can't join: %s\n", rank_told(), n, why);
    return dp_status_exit_code(DP_ERR_RANK);
  }
  if (own.ranks->rank > 0) mute();
  return 0;
}

/* With the exit code of this rank; gives the one to end with: rank 0 speaks for all. */
int cli_ranks_leave(int code) {
  char text[512];
  if (!own.ranks) return code;
  bool mine = own.ranks->rank == 0;
  dp_status status = code == 0 ? DP_OK : DP_ERR_RANK;
  for (int k = 1; k < DP_STATUS_COUNT && code && code != dp_status_exit_code(DP_ERR_RANK); k++)
    if (dp_status_exit_code((dp_status)k) == code) {
      status = (dp_status)k;
      break;
    }
  fflush(stdout);
  own.plugin->leave(status, mine ? "" : first_said(text, sizeof text));
  own.ranks = NULL;
  return mine ? code : 0;
}
