/* The loader against objects that are not what they should be: cut anywhere, any byte changed, made by hand for the
 * relocations of both processors (expected words from the architectures' manuals). Nothing of this is run. */
#include <elf.h>

#include "jit_check.h"

static bool loads(const void *data, size_t size, char why[DPI_JIT_WHY]) {
  dpi_jit_image image;
  bool good = dpi_jit_load(data, size, &image, why);
  dpi_jit_unload(&image);
  return good;
}

static void damaged_objects_are_refused_or_harmless(void **state) {
  (void)state;
  need_llvm();
  dpi_tape *t = random_tape(1, 120, 20, NULL);
  char why[DPI_JIT_WHY] = "";
  dpi_jit_compiler *c = dpi_jit_compiler_create(ctx, why);
  dpi_jit_target target = dpi_jit_target_find(1, strcmp(dp_arithmetic(), "fma") == 0);
  dpi_jit_object o;
  assert_non_null(c);
  assert_true(dpi_jit_compile(c, t, &target, DPI_JIT_OPTIMISED, &o, why));
  assert_true(loads(o.data, o.size, why));
  for (size_t n = 0; n < o.size; n += n < 80 ? 1 : 37) {
    uint8_t *part = dpi_alloc(ctx, n); /* of that size exactly: a sanitizer sees the byte behind it */
    memcpy(part, o.data, n);
    assert_false(loads(part, n, why));
    assert_string_not_equal(why, "");
    dpi_free(ctx, part);
  }
  uint8_t *copy = dpi_alloc(ctx, o.size);
  dpi_rng rng = dpi_rng_make(1, 1, 1);
  int refused = 0;
  for (int k = 0; k < 6000; k++) {
    memcpy(copy, o.data, o.size);
    /* half of them where the headers are */
    size_t at = k % 2 == 0   ? dpi_rng_u64(&rng) % o.size
                : k % 4 == 1 ? dpi_rng_u64(&rng) % 64
                             : o.size - 1 - dpi_rng_u64(&rng) % 700;
    copy[at] = (uint8_t)dpi_rng_u64(&rng);
    refused += !loads(copy, o.size, why);
  }
  assert_true(refused > 500);
  dpi_free(ctx, copy);
  dpi_jit_compiler_destroy(c);
  dpi_tape_destroy(t);
}

/* ---- an object made by hand ---- */

enum { S_NULL, S_TEXT, S_RODATA, S_RELA, S_SYMTAB, S_STRTAB, NSECTION };
enum { TEXT_AT = 64, RODATA_AT = 96, RELA_AT = 128, SYM_AT = 176, STR_AT = 272, HEADERS_AT = 288 };

typedef struct made {
  uint8_t byte[HEADERS_AT + NSECTION * sizeof(Elf64_Shdr)];
} made;

static const char names[] = "\0dpi_body\0memset";

/* code: 32 bytes; constants: 32 bytes; one relocation of code; symbols: 1 the body, 2 the constants, 3 from outside */
static void make(made *m, int machine, const uint32_t code[8], Elf64_Rela rela) {
  memset(m, 0, sizeof *m);
  Elf64_Ehdr h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                  .e_type = ET_REL,
                  .e_machine = (Elf64_Half)machine,
                  .e_version = EV_CURRENT,
                  .e_shoff = HEADERS_AT,
                  .e_ehsize = sizeof h,
                  .e_shentsize = sizeof(Elf64_Shdr),
                  .e_shnum = NSECTION,
                  .e_shstrndx = S_STRTAB};
  Elf64_Sym sym[4] = {{0},
                      {.st_name = 1, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = S_TEXT, .st_value = 4},
                      {.st_info = ELF64_ST_INFO(STB_LOCAL, STT_SECTION), .st_shndx = S_RODATA},
                      {.st_name = 10, .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_NOTYPE)}};
  Elf64_Shdr s[NSECTION] = {
      {0},
      {.sh_type = SHT_PROGBITS,
       .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
       .sh_offset = TEXT_AT,
       .sh_size = 32,
       .sh_addralign = 16},
      {.sh_type = SHT_PROGBITS, .sh_flags = SHF_ALLOC, .sh_offset = RODATA_AT, .sh_size = 32, .sh_addralign = 16},
      {.sh_type = SHT_RELA,
       .sh_offset = RELA_AT,
       .sh_size = sizeof rela,
       .sh_entsize = sizeof rela,
       .sh_link = S_SYMTAB,
       .sh_info = S_TEXT},
      {.sh_type = SHT_SYMTAB,
       .sh_offset = SYM_AT,
       .sh_size = sizeof sym,
       .sh_entsize = sizeof *sym,
       .sh_link = S_STRTAB},
      {.sh_type = SHT_STRTAB, .sh_offset = STR_AT, .sh_size = sizeof names}};
  memcpy(m->byte, &h, sizeof h);
  memcpy(m->byte + TEXT_AT, code, 32);
  memcpy(m->byte + RELA_AT, &rela, sizeof rela);
  memcpy(m->byte + SYM_AT, sym, sizeof sym);
  memcpy(m->byte + STR_AT, names, sizeof names);
  memcpy(m->byte + HEADERS_AT, s, sizeof s);
}

/* the 32-bit word at `at` of the code after relocation, memory being at `address`; false: refused */
static bool word_after(int machine, uint32_t before, Elf64_Rela rela, uint64_t address, uint32_t *word) {
  made m;
  dpi_jit_layout l;
  char why[DPI_JIT_WHY];
  uint32_t code[8] = {0};
  code[rela.r_offset / 4 % 8] = before;
  make(&m, machine, code, rela);
  assert_true(dpi_jit_layout_read(m.byte, sizeof m.byte, &l, why));
  assert_true(l.size == 2 * 65536 && l.text == 65536 && l.ncode == 32);
  uint8_t *memory = dpi_alloc(ctx, l.size);
  bool good = dpi_jit_relocate(m.byte, sizeof m.byte, &l, memory, address, why);
  if (good) memcpy(word, memory + rela.r_offset, 4);
  dpi_free(ctx, memory);
  return good;
}

static Elf64_Rela rela_of(uint64_t at, unsigned sym, unsigned type, int64_t addend) {
  return (Elf64_Rela){.r_offset = at, .r_info = ELF64_R_INFO((uint64_t)sym, type), .r_addend = addend};
}

/* constants lie 65536 behind the code; the body 4 behind its start */
static void relocations_of_x86_64(void **state) {
  (void)state;
  uint32_t w;
  const uint64_t base = 0x7f0012340000;
  assert_true(word_after(EM_X86_64, 0, rela_of(8, 2, R_X86_64_PC32, 12), base, &w));
  assert_int_equal(w, 65536 + 12 - 8);
  assert_true(word_after(EM_X86_64, 0, rela_of(8, 1, R_X86_64_PLT32, -4), base, &w));
  assert_int_equal((int32_t)w, 4 - 4 - 8);
  assert_true(word_after(EM_X86_64, 0, rela_of(16, 2, R_X86_64_64, 3), base, &w));
  assert_int_equal(w, (uint32_t)(base + 65536 + 3));
  assert_false(word_after(EM_X86_64, 0, rela_of(29, 2, R_X86_64_PC32, 0), base, &w)); /* beyond the section's end */
  assert_false(word_after(EM_X86_64, 0, rela_of(28, 2, R_X86_64_64, 0), base, &w));
  assert_false(word_after(EM_X86_64, 0, rela_of(UINT64_MAX, 2, R_X86_64_PC32, 0), base, &w));
  assert_false(word_after(EM_X86_64, 0, rela_of(8, 2, R_X86_64_PC32, INT64_MAX), base, &w));
  assert_false(word_after(EM_X86_64, 0, rela_of(8, 2, R_X86_64_GOTPCREL, 0), base, &w));
  assert_false(word_after(EM_X86_64, 0, rela_of(8, 3, R_X86_64_PLT32, -4), base, &w)); /* memset */
  assert_false(word_after(EM_X86_64, 0, rela_of(8, 4, R_X86_64_PC32, 0), base, &w));   /* no such symbol */
}

static void relocations_of_aarch64(void **state) {
  (void)state;
  uint32_t w;
  const uint64_t base = 0xaaaa12340000;
  /* adrp x8, 16 pages on: immlo = 0, immhi = 4 */
  assert_true(word_after(EM_AARCH64, 0x90000008, rela_of(8, 2, R_AARCH64_ADR_PREL_PG_HI21, 0), base, &w));
  assert_int_equal(w, 0x90000008 | 4u << 5);
  /* and a page less from the end of a page: one page back from the constants is 15 pages, immlo = 3, immhi = 3 */
  assert_true(word_after(EM_AARCH64, 0x90000008, rela_of(8, 2, R_AARCH64_ADR_PREL_PG_HI21, -1), base, &w));
  assert_int_equal(w, 0x90000008 | 3u << 29 | 3u << 5);
  /* add x8, x8, :lo12: */
  assert_true(word_after(EM_AARCH64, 0x91000108, rela_of(8, 2, R_AARCH64_ADD_ABS_LO12_NC, 24), base, &w));
  assert_int_equal(w, 0x91000108 | 24u << 10);
  /* ldr d0, [x8, :lo12:] in units of 8; ldr q0 in units of 16 */
  assert_true(word_after(EM_AARCH64, 0xfd400100, rela_of(8, 2, R_AARCH64_LDST64_ABS_LO12_NC, 24), base, &w));
  assert_int_equal(w, 0xfd400100 | 3u << 10);
  assert_true(word_after(EM_AARCH64, 0x3dc00100, rela_of(8, 2, R_AARCH64_LDST128_ABS_LO12_NC, 16), base, &w));
  assert_int_equal(w, 0x3dc00100 | 1u << 10);
  assert_false(word_after(EM_AARCH64, 0x3dc00100, rela_of(8, 2, R_AARCH64_LDST128_ABS_LO12_NC, 8), base, &w));
  /* bl to the body, 4 bytes before the call */
  assert_true(word_after(EM_AARCH64, 0x94000000, rela_of(8, 1, R_AARCH64_CALL26, 0), base, &w));
  assert_int_equal(w, 0x94000000 | 0x3ffffff);
  assert_false(word_after(EM_AARCH64, 0x94000000, rela_of(8, 1, R_AARCH64_CALL26, 2), base, &w));
  assert_false(word_after(EM_AARCH64, 0x94000000, rela_of(8, 1, R_AARCH64_CALL26, 1 << 28), base, &w));
  assert_false(word_after(EM_AARCH64, 0, rela_of(8, 1, R_AARCH64_TLSDESC, 0), base, &w));
  assert_false(word_after(EM_RISCV, 0, rela_of(8, 1, 2, 0), base, &w));
}

static void what_needs_more_than_code_and_constants_is_refused(void **state) {
  (void)state;
  made m;
  dpi_jit_layout l;
  char why[DPI_JIT_WHY];
  const uint32_t code[8] = {0};
  Elf64_Shdr s;
  for (int what = 0; what < 6; what++) {
    make(&m, EM_X86_64, code, rela_of(8, 2, R_X86_64_PC32, 0));
    uint8_t *at = m.byte + HEADERS_AT + S_RODATA * sizeof s;
    memcpy(&s, at, sizeof s);
    if (what == 0) s.sh_flags |= SHF_WRITE;
    if (what == 1) s.sh_type = SHT_NOBITS;
    if (what == 2) s.sh_addralign = 24;
    if (what == 3) s.sh_size = (uint64_t)1 << 40;
    if (what == 4) s.sh_offset = UINT64_MAX - 8;
    if (what == 5) s.sh_flags |= SHF_TLS;
    memcpy(at, &s, sizeof s);
    assert_false(dpi_jit_layout_read(m.byte, sizeof m.byte, &l, why));
  }
  make(&m, EM_X86_64, code, rela_of(8, 2, R_X86_64_PC32, 0));
  size_t at = 0;
  assert_true(dpi_jit_layout_read(m.byte, sizeof m.byte, &l, why));
  assert_true(dpi_jit_find(m.byte, sizeof m.byte, &l, "dpi_body", &at));
  assert_int_equal(at, 4);
  assert_false(dpi_jit_find(m.byte, sizeof m.byte, &l, "memset", &at));
  assert_false(dpi_jit_find(m.byte, sizeof m.byte, &l, "dpi_bod", &at));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(damaged_objects_are_refused_or_harmless),
      cmocka_unit_test(relocations_of_x86_64),
      cmocka_unit_test(relocations_of_aarch64),
      cmocka_unit_test(what_needs_more_than_code_and_constants_is_refused),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
