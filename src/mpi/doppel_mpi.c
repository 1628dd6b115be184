/* doppel_mpi.c - the plug-in that carries messages between ranks by MPI (doppel/ranks.h); libdoppel_mpi.so.
 *
 * Opened by the program `doppel` when it was started by mpirun, and by nothing else: neither the program nor the
 * library links MPI.
 *
 *     a message   its size (tag SIZE), then its bytes in parts (tag PART)
 *     leaving     status and reason (tag LEFT), to rank 0 and from rank 0 to all
 *
 * Nothing here waits inside MPI: all is tested for and slept between, so that ranks without work leave the processor to
 * others and somebody's leaving is seen by all who wait. A process that dies without a word is the launcher's affair:
 * mpirun ends all.
 */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "doppel/ranks.h"

enum { SIZE = 1, PART, LEFT, MOST_PARTS = 256, PATIENCE_S = 5 };
#define PART_BYTES ((size_t)1 << 28)

typedef struct left {
  int32_t gone, status;
  char why[504];
} left;

typedef struct peer {
  uint64_t size; /* of a message that poll has told of */
  int there;
  left left;
} peer;

static struct {
  dp_ranks ranks;
  peer *peer;  /* [nrank] */
  char *bytes; /* being sent */
  uint64_t size;
  size_t room;
  MPI_Request request[MOST_PARTS + 1];
  int nrequest;
} own;

static void nap(long *ns) {
  struct timespec t = {0, *ns};
  nanosleep(&t, NULL);
  if (*ns < 1000000) *ns += *ns / 4;
}

static double clock_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int is_there(int from, int tag) {
  int flag = 0;
  MPI_Iprobe(from, tag, MPI_COMM_WORLD, &flag, MPI_STATUS_IGNORE);
  return flag;
}

/* ---- dp_ranks ---- */

static int poll_rank(void *user, int from, size_t *size, dp_status *status, const char **why) {
  (void)user;
  peer *p = &own.peer[from];
  int gone = p->left.gone ||
             is_there(from, LEFT); /* asked first: what was sent before it is then there too */
  if (!p->there && is_there(from, SIZE)) {
    MPI_Recv(&p->size, 1, MPI_UINT64_T, from, SIZE, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    p->there = 1;
  }
  if (p->there) {
    *size = (size_t)p->size;
    return 1;
  }
  if (!gone) return 0;
  if (!p->left.gone)
    MPI_Recv(&p->left, (int)sizeof p->left, MPI_BYTE, from, LEFT, MPI_COMM_WORLD,
             MPI_STATUS_IGNORE);
  p->left.gone = 1;
  p->left.why[sizeof p->left.why - 1] = 0;
  *status = (dp_status)p->left.status;
  *why = p->left.why;
  return -1;
}

static dp_status receive(void *user, int from, void *bytes, size_t size) {
  (void)user;
  peer *p = &own.peer[from];
  if (!p->there || size != p->size) return DP_ERR_BUG;
  p->there = 0;
  for (size_t at = 0; at < size; at += PART_BYTES) {
    size_t n = size - at < PART_BYTES ? size - at : PART_BYTES;
    if (MPI_Recv((char *)bytes + at, (int)n, MPI_BYTE, from, PART, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE) != MPI_SUCCESS)
      return DP_ERR_RANK;
  }
  return DP_OK;
}

/* 1: the last message has gone out. */
static int sent(void) {
  int flag = 1;
  if (own.nrequest) MPI_Testall(own.nrequest, own.request, &flag, MPI_STATUSES_IGNORE);
  if (flag) own.nrequest = 0;
  return flag;
}

static dp_status wait_sent(int to) {
  long ns = 20000;
  while (!sent()) {
    size_t size;
    dp_status status;
    const char *why;
    if (poll_rank(NULL, to, &size, &status, &why) < 0) return DP_ERR_CANCELLED;
    nap(&ns);
  }
  return DP_OK;
}

/* The bytes are copied, so that the next block is under way while this one waits to be taken. */
static dp_status send_rank(void *user, int to, const void *bytes, size_t size) {
  (void)user;
  DP_TRY(wait_sent(to));
  if (size > PART_BYTES * MOST_PARTS) return DP_ERR_MEMORY;
  if (size > own.room) {
    free(own.bytes);
    own.room = 0;
    own.bytes = malloc(size);
    if (!own.bytes) return DP_ERR_MEMORY;
    own.room = size;
  }
  memcpy(own.bytes, bytes, size);
  own.size = size;
  int bad = MPI_Isend(&own.size, 1, MPI_UINT64_T, to, SIZE, MPI_COMM_WORLD,
                      &own.request[own.nrequest++]) != MPI_SUCCESS;
  for (size_t at = 0; at < size && !bad; at += PART_BYTES) {
    size_t n = size - at < PART_BYTES ? size - at : PART_BYTES;
    bad = MPI_Isend(own.bytes + at, (int)n, MPI_BYTE, to, PART, MPI_COMM_WORLD,
                    &own.request[own.nrequest++]) != MPI_SUCCESS;
  }
  return bad ? DP_ERR_RANK : DP_OK;
}

/* ---- joining and leaving ---- */

/* The plug-in has nothing of the library's but its headers. */
static int exit_code(dp_status status) {
#define DP_MPI_CASE(name, code, sentence, advice) \
  case DP_##name:                                 \
    return code;
  switch (status) {
    DP_STATUS_LIST(DP_MPI_CASE)
    default:
      return 1;
  }
#undef DP_MPI_CASE
}

static const dp_ranks *join(char *why, size_t size) {
  int given = 0;
  if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &given) != MPI_SUCCESS) {
    if (size) strncpy(why, "MPI could not be started", size - 1)[size - 1] = 0;
    return NULL;
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &own.ranks.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &own.ranks.nrank);
  own.peer = calloc((size_t)own.ranks.nrank, sizeof *own.peer);
  if (!own.peer) {
    if (size) strncpy(why, "out of memory", size - 1)[size - 1] = 0;
    MPI_Finalize();
    return NULL;
  }
  own.ranks.send = send_rank;
  own.ranks.poll = poll_rank;
  own.ranks.receive = receive;
  return &own.ranks;
}

/* Take what is still under way from this rank; 1: it has left. */
static int drained(int from) {
  size_t size;
  dp_status status;
  const char *why;
  int there = poll_rank(NULL, from, &size, &status, &why);
  if (there <= 0) return there < 0;
  void *bytes = malloc(size ? size : 1);
  if (bytes) receive(NULL, from, bytes, size);
  free(bytes);
  return 0;
}

static int all_left(void) {
  int all = sent();
  if (own.ranks.rank > 0) return drained(0) && all;
  for (int r = 1; r < own.ranks.nrank; r++) all = drained(r) && all;
  return all;
}

/* Rank 0 waits for the others for a while only: one of them may be deep in a long computation. The others wait for rank
 * 0 however long it takes. */
static void leave(dp_status status, const char *why) {
  left word = {.gone = 1, .status = (int32_t)status};
  strncpy(word.why, why ? why : "", sizeof word.why - 1);
  int mine = own.ranks.rank == 0, n = mine ? own.ranks.nrank : 1;
  MPI_Request *request = calloc((size_t)n, sizeof *request);
  if (!request) MPI_Abort(MPI_COMM_WORLD, exit_code(DP_ERR_MEMORY));
  int nrequest = 0, told = 0, left = 0;
  for (int r = mine; r < n; r++)
    MPI_Isend(&word, (int)sizeof word, MPI_BYTE, r, LEFT, MPI_COMM_WORLD, &request[nrequest++]);
  long ns = 20000;
  for (double began = clock_s();;) {
    left = left || all_left();
    if (!told) MPI_Testall(nrequest, request, &told, MPI_STATUSES_IGNORE);
    if (left && told) break;
    if (mine && clock_s() - began > PATIENCE_S)
      MPI_Abort(MPI_COMM_WORLD, status == DP_OK ? 1 : exit_code(status));
    nap(&ns);
  }
  free(request);
  free(own.peer);
  free(own.bytes);
  MPI_Finalize();
}

extern const dp_ranks_plugin dp_plugin_ranks; /* DP_RANKS_PLUGIN */
const dp_ranks_plugin dp_plugin_ranks = {
    .interface = DP_RANKS_INTERFACE, .about = "MPI", .join = join, .leave = leave};
