/* map.c - floor 0: map from string to int.
 *
 * Open addressing with linear probing, at most two thirds full; FNV-1a (Fowler, Noll, Vo) of the
 * key. Nothing is ever removed, so a free slot ends every search.
 */
#include <string.h>

#include "base/base.h"

struct dpi_map_slot {
  uint64_t hash;
  const char *key; /* in the map's arena; NULL: free */
  int value;
};

static uint64_t hash_of(const char *key) {
  uint64_t h = 14695981039346656037u;
  for (; *key; key++) h = (h ^ (unsigned char)*key) * 1099511628211u;
  return h ^ (h >> 32);
}

/* The slot that holds key, or the free one where it belongs. cap > count. */
static struct dpi_map_slot *find(struct dpi_map_slot *slot, int cap, uint64_t hash,
                                 const char *key) {
  for (size_t k = hash & (size_t)(cap - 1);; k = (k + 1) & (size_t)(cap - 1)) {
    if (!slot[k].key) return &slot[k];
    if (slot[k].hash == hash && strcmp(slot[k].key, key) == 0) return &slot[k];
  }
}

void dpi_map_init(dpi_map *map, dp_ctx *ctx) {
  *map = (dpi_map){.ctx = ctx};
  dpi_arena_init(&map->key, ctx);
}

void dpi_map_release(dpi_map *map) {
  dpi_arena_release(&map->key);
  dpi_free(map->ctx, map->slot);
  dpi_map_init(map, map->ctx);
}

/* Twice the slots; keys move, nothing is copied. */
static dp_status rehash(dpi_map *map) {
  if (map->cap > INT32_MAX / 2) return dpi_fail(map->ctx, DP_ERR_MEMORY, "map: too many keys");
  int cap = map->cap ? map->cap * 2 : 16;
  struct dpi_map_slot *slot = DPI_NEW_ARRAY(map->ctx, struct dpi_map_slot, cap);
  if (!slot) return DP_ERR_MEMORY;
  for (int k = 0; k < map->cap; k++) {
    struct dpi_map_slot *old = &map->slot[k];
    if (old->key) *find(slot, cap, old->hash, old->key) = *old;
  }
  dpi_free(map->ctx, map->slot);
  map->slot = slot;
  map->cap = cap;
  return DP_OK;
}

dp_status dpi_map_put(dpi_map *map, const char *key, int value) {
  if ((int64_t)(map->count + 1) * 3 > (int64_t)map->cap * 2) DP_TRY(rehash(map));
  uint64_t hash = hash_of(key);
  struct dpi_map_slot *s = find(map->slot, map->cap, hash, key);
  if (!s->key) {
    s->key = dpi_arena_strdup(&map->key, key);
    if (!s->key) return DP_ERR_MEMORY;
    s->hash = hash;
    map->count++;
  }
  s->value = value;
  return DP_OK;
}

int dpi_map_get(const dpi_map *map, const char *key) {
  if (!map->count) return -1;
  const struct dpi_map_slot *s = find(map->slot, map->cap, hash_of(key), key);
  return s->key ? s->value : -1;
}
