/* jit_load.c - floor 3: an object file, fresh from LLVM or from the cache, to memory that can be run.
 *
 * ELF64, little-endian, relocatable (System V ABI, its supplements for x86-64 and AArch64). Straight-line code needs
 * little of it: code, constants, and references from one to the other. Whatever else appears is refused by name:
 * symbols from outside, data that can be written, relocations beyond the list below.
 *
 *     memory:  [sections with code][page][sections with constants]      first written, then code r-x, constants r--
 *
 * 1. no byte of the object is believed: every offset, count and index is checked before it is used;
 * 2. memory is never writable and executable at once.
 */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include <elf.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "jit/jit_impl.h"

#define PAGE_MOST 65536               /* the largest page of the processors we know */
#define MEMORY_MOST ((size_t)1 << 28) /* keeps every distance within 32 bits */

bool dpi_jit_why(char why[DPI_JIT_WHY], const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  vsnprintf(why, DPI_JIT_WHY, fmt, args);
  va_end(args);
  return false;
}

/* ---- reading what may be anything ---- */

typedef struct object {
  const uint8_t *data;
  size_t size;
  Elf64_Ehdr head;
} object;

static bool inside(size_t size, uint64_t offset, uint64_t n) { return offset <= size && n <= size - offset; }

static bool object_open(object *o, const void *data, size_t size, char *why) {
  *o = (object){.data = data, .size = size};
  if (size < sizeof o->head) return dpi_jit_why(why, "object: %zu bytes, too short for a header", size);
  memcpy(&o->head, data, sizeof o->head);
  const unsigned char *id = o->head.e_ident;
  if (memcmp(id, ELFMAG, SELFMAG) != 0 || id[EI_CLASS] != ELFCLASS64 || id[EI_DATA] != ELFDATA2LSB)
    return dpi_jit_why(why, "object: not ELF of 64 bits, little-endian");
  if (o->head.e_type != ET_REL) return dpi_jit_why(why, "object: type %d, expected a relocatable", o->head.e_type);
  if (o->head.e_shentsize != sizeof(Elf64_Shdr) || o->head.e_shnum == 0 || o->head.e_shnum > DPI_JIT_SECTIONS)
    return dpi_jit_why(why, "object: %d sections of %d bytes", o->head.e_shnum, o->head.e_shentsize);
  if (!inside(size, o->head.e_shoff, (uint64_t)o->head.e_shnum * sizeof(Elf64_Shdr)))
    return dpi_jit_why(why, "object: its sections' headers lie outside");
  return true;
}

/* i must be below e_shnum */
static Elf64_Shdr section_at(const object *o, unsigned i) {
  Elf64_Shdr s;
  memcpy(&s, o->data + o->head.e_shoff + (size_t)i * sizeof s, sizeof s);
  return s;
}

/* is its content inside the file? (NOBITS has none) */
static bool section_inside(const object *o, const Elf64_Shdr *s) {
  return s->sh_type == SHT_NOBITS || inside(o->size, s->sh_offset, s->sh_size);
}

/* the one table of symbols, and its strings; false: none that is sound */
static bool symbols_find(const object *o, Elf64_Shdr *sym, Elf64_Shdr *str) {
  for (unsigned i = 0; i < o->head.e_shnum; i++) {
    *sym = section_at(o, i);
    if (sym->sh_type != SHT_SYMTAB) continue;
    if (!section_inside(o, sym) || sym->sh_entsize != sizeof(Elf64_Sym) || sym->sh_link >= o->head.e_shnum)
      return false;
    *str = section_at(o, sym->sh_link);
    return str->sh_type == SHT_STRTAB && section_inside(o, str);
  }
  return false;
}

static bool symbol_at(const object *o, const Elf64_Shdr *table, uint64_t i, Elf64_Sym *out) {
  if (i >= table->sh_size / sizeof *out) return false;
  memcpy(out, o->data + table->sh_offset + (size_t)i * sizeof *out, sizeof *out);
  return true;
}

/* the symbol's name, at most 60 characters, for comparing and for messages */
static void symbol_name(const object *o, const Elf64_Shdr *str, const Elf64_Sym *s, char name[64]) {
  size_t n = 0;
  for (; n < 60 && s->st_name < str->sh_size && n < str->sh_size - s->st_name; n++) {
    char c = (char)o->data[str->sh_offset + s->st_name + n];
    if (c == '\0') break;
    name[n] = c;
  }
  name[n] = '\0';
}

/* ---- where the sections go ---- */

/* false: this section must not be there; *loaded: it goes into memory */
static bool section_allowed(const object *o, unsigned i, const Elf64_Shdr *s, bool *loaded, char *why) {
  *loaded = (s->sh_flags & SHF_ALLOC) != 0 && s->sh_size > 0;
  if (!section_inside(o, s)) return dpi_jit_why(why, "object: section %u lies outside", i);
  if (*loaded) {
    if (s->sh_type != SHT_PROGBITS || (s->sh_flags & (SHF_WRITE | SHF_TLS)) != 0)
      return dpi_jit_why(why, "object: section %u of type %u, flags %#llx: neither code nor constants", i, s->sh_type,
                         (unsigned long long)s->sh_flags);
    if (s->sh_addralign > 4096 || (s->sh_addralign & (s->sh_addralign - 1)) != 0)
      return dpi_jit_why(why, "object: section %u aligned to %llu", i, (unsigned long long)s->sh_addralign);
  }
  return true;
}

static size_t align_up(size_t n, size_t to) { return to > 1 ? (n + to - 1) & ~(to - 1) : n; }

bool dpi_jit_layout_read(const void *data, size_t size, dpi_jit_layout *l, char why[DPI_JIT_WHY]) {
  object o;
  if (!object_open(&o, data, size, why)) return false;
  *l = (dpi_jit_layout){.nsection = o.head.e_shnum, .machine = o.head.e_machine};
  for (int i = 0; i < DPI_JIT_SECTIONS; i++) l->place[i] = SIZE_MAX;
  for (int part = 0; part < 2; part++) { /* code, then constants */
    for (unsigned i = 0; i < o.head.e_shnum; i++) {
      Elf64_Shdr s = section_at(&o, i);
      bool loaded;
      if (!section_allowed(&o, i, &s, &loaded, why)) return false;
      if (!loaded || ((s.sh_flags & SHF_EXECINSTR) == 0) != (part == 1)) continue;
      l->place[i] = align_up(l->size, s.sh_addralign);
      if (l->place[i] > MEMORY_MOST || s.sh_size > MEMORY_MOST - l->place[i])
        return dpi_jit_why(why, "object: too large");
      l->size = l->place[i] + s.sh_size;
    }
    if (part == 0) l->ncode = l->size;
    l->size = align_up(l->size, PAGE_MOST);
    if (part == 0) l->text = l->size;
  }
  if (l->text == 0) return dpi_jit_why(why, "object: no code in it");
  return true;
}

bool dpi_jit_find(const void *data, size_t size, const dpi_jit_layout *l, const char *name, size_t *offset) {
  object o;
  Elf64_Shdr sym, str;
  Elf64_Sym s;
  char why[DPI_JIT_WHY], found[64];
  if (!object_open(&o, data, size, why) || !symbols_find(&o, &sym, &str)) return false;
  for (uint64_t i = 0; symbol_at(&o, &sym, i, &s); i++) {
    if (ELF64_ST_TYPE(s.st_info) != STT_FUNC || s.st_shndx >= l->nsection || s.st_shndx >= o.head.e_shnum) continue;
    symbol_name(&o, &str, &s, found);
    if (strcmp(found, name) != 0) continue;
    Elf64_Shdr home = section_at(&o, s.st_shndx);
    if (l->place[s.st_shndx] == SIZE_MAX || (home.sh_flags & SHF_EXECINSTR) == 0 || s.st_value >= home.sh_size)
      return false;
    *offset = l->place[s.st_shndx] + (size_t)s.st_value;
    return true;
  }
  return false;
}

/* ---- relocations ---- */

/* One place to be patched: `at` in memory, of which `room` bytes are there; P its address, S + A what it refers to. */
typedef struct patch {
  uint8_t *at;
  size_t room;
  uint64_t p, sa;
  uint32_t type;
} patch;

static bool put32(const patch *q, uint32_t value) {
  if (q->room < 4) return false;
  for (int k = 0; k < 4; k++) q->at[k] = (uint8_t)(value >> 8 * k);
  return true;
}

static bool put64(const patch *q, uint64_t value) {
  if (q->room < 8) return false;
  for (int k = 0; k < 8; k++) q->at[k] = (uint8_t)(value >> 8 * k);
  return true;
}

static bool patch_x86(const patch *q) {
  int64_t away = (int64_t)(q->sa - q->p);
  switch (q->type) {
    case R_X86_64_64:
      return put64(q, q->sa);
    case R_X86_64_PC32:
    case R_X86_64_PLT32: /* what is called is here: no table between */
      return away >= INT32_MIN && away <= INT32_MAX && put32(q, (uint32_t)away);
    default:
      return false;
  }
}

/* bits of an instruction replaced */
static bool put_field(const patch *q, uint32_t mask, uint32_t value) {
  if (q->room < 4) return false;
  uint32_t old = 0;
  for (int k = 0; k < 4; k++) old |= (uint32_t)q->at[k] << 8 * k;
  return put32(q, (old & ~mask) | (value & mask));
}

/* low 12 bits of the address, in units of the access */
static bool patch_lo12(const patch *q, unsigned shift) {
  uint32_t low = (uint32_t)(q->sa & 0xfff);
  if ((low & ((1u << shift) - 1)) != 0) return false;
  return put_field(q, 0xfffu << 10, low >> shift << 10);
}

static bool patch_arm(const patch *q) {
  int64_t away = (int64_t)(q->sa - q->p);
  switch (q->type) {
    case R_AARCH64_ABS64:
      return put64(q, q->sa);
    case R_AARCH64_PREL32:
      return away >= INT32_MIN && away <= INT32_MAX && put32(q, (uint32_t)away);
    case R_AARCH64_ADR_PREL_PG_HI21: {
      int64_t page = (int64_t)((q->sa & ~(uint64_t)0xfff) - (q->p & ~(uint64_t)0xfff));
      if (page < -((int64_t)1 << 32) || page >= (int64_t)1 << 32) return false;
      uint32_t n = (uint32_t)((uint64_t)page >> 12);
      return put_field(q, 3u << 29 | 0x7ffffu << 5, (n & 3u) << 29 | (n >> 2 & 0x7ffffu) << 5);
    }
    case R_AARCH64_ADD_ABS_LO12_NC:
    case R_AARCH64_LDST8_ABS_LO12_NC:
      return patch_lo12(q, 0);
    case R_AARCH64_LDST16_ABS_LO12_NC:
      return patch_lo12(q, 1);
    case R_AARCH64_LDST32_ABS_LO12_NC:
      return patch_lo12(q, 2);
    case R_AARCH64_LDST64_ABS_LO12_NC:
      return patch_lo12(q, 3);
    case R_AARCH64_LDST128_ABS_LO12_NC:
      return patch_lo12(q, 4);
    case R_AARCH64_CALL26:
    case R_AARCH64_JUMP26:
      if (away < -(1 << 27) || away >= 1 << 27 || (away & 3) != 0) return false;
      return put_field(q, 0x3ffffffu, (uint32_t)((uint64_t)away >> 2));
    default:
      return false;
  }
}

typedef struct relocator {
  object o;
  const dpi_jit_layout *l;
  uint8_t *memory;
  uint64_t address;
  Elf64_Shdr sym, str;
  char *why;
} relocator;

/* the address a symbol stands for */
static bool resolve(const relocator *r, uint64_t i, uint64_t *address) {
  Elf64_Sym s;
  char name[64];
  if (!symbol_at(&r->o, &r->sym, i, &s))
    return dpi_jit_why(r->why, "object: symbol %llu is not there", (unsigned long long)i);
  if (s.st_shndx >= r->l->nsection || r->l->place[s.st_shndx] == SIZE_MAX) {
    symbol_name(&r->o, &r->str, &s, name);
    return dpi_jit_why(r->why, "object: needs '%s' from outside", name);
  }
  Elf64_Shdr home = section_at(&r->o, s.st_shndx);
  if (s.st_value > home.sh_size) return dpi_jit_why(r->why, "object: symbol %llu lies outside", (unsigned long long)i);
  *address = r->address + r->l->place[s.st_shndx] + s.st_value;
  return true;
}

static bool relocate_one(const relocator *r, const Elf64_Shdr *target, unsigned section, const Elf64_Rela *rela) {
  uint64_t s = 0;
  if (rela->r_offset >= target->sh_size)
    return dpi_jit_why(r->why, "object: a relocation lies outside section %u", section);
  if (!resolve(r, ELF64_R_SYM(rela->r_info), &s)) return false;
  size_t at = r->l->place[section] + (size_t)rela->r_offset;
  patch q = {.at = r->memory + at,
             .room = (size_t)(target->sh_size - rela->r_offset),
             .p = r->address + at,
             .sa = s + (uint64_t)rela->r_addend,
             .type = (uint32_t)ELF64_R_TYPE(rela->r_info)};
  bool good = r->l->machine == EM_X86_64 ? patch_x86(&q) : r->l->machine == EM_AARCH64 ? patch_arm(&q) : false;
  if (!good) return dpi_jit_why(r->why, "object: relocation of type %u can't be done", q.type);
  return true;
}

static bool relocate_section(const relocator *r, const Elf64_Shdr *s) {
  if (s->sh_info >= r->o.head.e_shnum || s->sh_entsize != sizeof(Elf64_Rela))
    return dpi_jit_why(r->why, "object: relocations of another shape");
  if (r->l->place[s->sh_info] == SIZE_MAX) return true; /* of what is not loaded */
  Elf64_Shdr target = section_at(&r->o, s->sh_info);
  for (uint64_t i = 0; i < s->sh_size / sizeof(Elf64_Rela); i++) {
    Elf64_Rela rela;
    memcpy(&rela, r->o.data + s->sh_offset + (size_t)i * sizeof rela, sizeof rela);
    if (!relocate_one(r, &target, s->sh_info, &rela)) return false;
  }
  return true;
}

bool dpi_jit_relocate(const void *data, size_t size, const dpi_jit_layout *l, void *memory, uint64_t address,
                      char why[DPI_JIT_WHY]) {
  relocator r = {.l = l, .memory = memory, .address = address, .why = why};
  if (!object_open(&r.o, data, size, why)) return false;
  if (!symbols_find(&r.o, &r.sym, &r.str)) return dpi_jit_why(why, "object: no sound table of symbols");
  for (unsigned i = 0; i < r.o.head.e_shnum; i++) {
    Elf64_Shdr s = section_at(&r.o, i);
    if (l->place[i] != SIZE_MAX) memcpy(r.memory + l->place[i], r.o.data + s.sh_offset, (size_t)s.sh_size);
  }
  for (unsigned i = 0; i < r.o.head.e_shnum; i++) {
    Elf64_Shdr s = section_at(&r.o, i);
    if (s.sh_type == SHT_REL) return dpi_jit_why(why, "object: relocations without addends");
    if (s.sh_type == SHT_RELA && !relocate_section(&r, &s)) return false;
  }
  return true;
}

/* ---- into memory ---- */

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#else
#define MACHINE EM_NONE
#endif

/* the image's functions; a tape may have no prologue here */
static bool find_code(dpi_jit_image *image, const void *data, size_t size, const dpi_jit_layout *l, char *why) {
  size_t at;
  uintptr_t base = (uintptr_t)image->memory, entry;
  if (!dpi_jit_find(data, size, l, DPI_JIT_BODY, &at)) return dpi_jit_why(why, "object: no function " DPI_JIT_BODY);
  entry = base + at;
  memcpy(&image->code.body, &entry, sizeof entry);
  if (dpi_jit_find(data, size, l, DPI_JIT_PROLOGUE, &at)) {
    entry = base + at;
    memcpy(&image->code.prologue, &entry, sizeof entry);
  }
  return true;
}

static bool make_executable(const dpi_jit_image *image, const dpi_jit_layout *l) {
  char *memory = image->memory;
  __builtin___clear_cache(memory, memory + l->text);
  if (mprotect(memory, l->text, PROT_READ | PROT_EXEC) != 0) return false;
  return l->size == l->text || mprotect(memory + l->text, l->size - l->text, PROT_READ) == 0;
}

bool dpi_jit_load(const void *data, size_t size, dpi_jit_image *image, char why[DPI_JIT_WHY]) {
  dpi_jit_layout l;
  *image = (dpi_jit_image){0};
  if (!dpi_jit_layout_read(data, size, &l, why)) return false;
  if (l.machine != MACHINE) return dpi_jit_why(why, "object: for another processor");
  void *memory = mmap(NULL, l.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return dpi_jit_why(why, "no memory for %zu bytes of machine code", l.size);
  *image = (dpi_jit_image){.memory = memory, .size = l.size, .ncode = l.ncode};
  bool good = dpi_jit_relocate(data, size, &l, memory, (uint64_t)(uintptr_t)memory, why) &&
              find_code(image, data, size, &l, why);
  if (good && !make_executable(image, &l)) good = dpi_jit_why(why, "this system forbids machine code made at run time");
  if (!good) dpi_jit_unload(image);
  return good;
}

void dpi_jit_unload(dpi_jit_image *image) {
  if (image->memory) munmap(image->memory, image->size);
  *image = (dpi_jit_image){0};
}
