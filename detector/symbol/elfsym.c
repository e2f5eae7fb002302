/* ELF symbols: sorted tables of functions, data and TLS, PLT stubs and GOT slots by name, and the bytes of code.
 * Called by module_open (symbols_load) and by frames, variable and sites. Takes no locks, allocates. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define SYMBOLS_MAX 20000000 /* per module */
#define SECTIONS_MAX 65536

/* Of several symbols at one address the one that people use: exported before weak before local, then fewer leading
 * underscores. */
static u8 symbol_rank(const GElf_Sym *sym, const char *name)
{
    unsigned bind = GELF_ST_BIND(sym->st_info);
    unsigned rank = bind == STB_LOCAL ? 128 : bind == STB_WEAK ? 64 : 0;
    if (GELF_ST_TYPE(sym->st_info) == STT_NOTYPE)
        rank += 32;
    while (*name++ == '_' && rank % 32 < 31)
        rank++;
    return (u8)rank;
}

bool symbols_add(struct elf_symbols *set, const struct elf_symbol *symbol)
{
    if (!grow((void **)&set->at, &set->cap, set->n, sizeof *set->at))
        return false;
    set->at[set->n++] = *symbol;
    return true;
}

static int by_address(const void *a, const void *b)
{
    const struct elf_symbol *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    if (x->rank != y->rank) /* the best last: the search finds the last one at an address */
        return x->rank > y->rank ? -1 : 1;
    return strcmp(y->name, x->name);
}

void symbols_sort(struct elf_symbols *set)
{
    if (set->n)
        qsort(set->at, set->n, sizeof *set->at, by_address);
}

const struct elf_symbol *symbols_at(const struct elf_symbols *set, u64 address, bool nearest)
{
    size_t lo = 0, hi = set->n;
    while (lo < hi) { /* number of symbols at or before the address */
        size_t mid = lo + (hi - lo) / 2;
        if (set->at[mid].address <= address)
            lo = mid + 1;
        else
            hi = mid;
    }
    /* A symbol may lie inside another one (asm labels, aliases with other sizes): look back a little. */
    for (size_t i = lo; i > 0 && lo - i < 32; i--) {
        const struct elf_symbol *s = &set->at[i - 1];
        if (address - s->address < s->size || (address == s->address && !s->size))
            return s;
    }
    return nearest && lo ? &set->at[lo - 1] : NULL;
}

/* Which table a symbol belongs to, by its type, else by its section. */
static struct elf_symbols *table_of(struct symbol_module *m, const GElf_Sym *sym, GElf_Word shndx, Elf *elf)
{
    GElf_Shdr sh;
    switch (GELF_ST_TYPE(sym->st_info)) {
    case STT_FUNC:
    case STT_GNU_IFUNC:
        return &m->functions;
    case STT_OBJECT:
    case STT_COMMON:
        return &m->data;
    case STT_TLS:
        return &m->tls;
    case STT_NOTYPE: {
        Elf_Scn *scn = elf && shndx < SHN_LORESERVE ? elf_getscn(elf, shndx) : NULL;
        if (!scn || !gelf_getshdr(scn, &sh))
            return NULL;
        if (sh.sh_flags & SHF_EXECINSTR)
            return &m->functions;
        return sym->st_size ? &m->data : NULL; /* __bss_start, _edata and the like name nothing */
    }
    default:
        return NULL;
    }
}

Elf_Scn *section_next(Elf *elf, Elf_Scn *scn, GElf_Shdr *header)
{
    /* A broken header may claim any number of sections. */
    while ((scn = elf_nextscn(elf, scn)) && elf_ndxscn(scn) < SECTIONS_MAX) {
        if (gelf_getshdr(scn, header))
            return scn;
    }
    return NULL;
}

static bool has_section(Elf *elf, GElf_Word type, const char *name)
{
    Elf_Scn *scn = NULL;
    size_t strings;
    GElf_Shdr sh;
    if (!elf || elf_getshdrstrndx(elf, &strings) != 0)
        return false;
    while ((scn = section_next(elf, scn, &sh))) {
        const char *n = name ? elf_strptr(elf, strings, sh.sh_name) : NULL;
        if (sh.sh_type != SHT_NOBITS && (name ? n && strcmp(n, name) == 0 : sh.sh_type == type))
            return true;
    }
    return false;
}

void symbols_load(struct symbol_module *m)
{
    int n = dwfl_module_getsymtab(m->mod);
    const char *file = NULL;
    m->status.has_symtab = has_section(m->elf, SHT_SYMTAB, NULL) || has_section(m->elf, 0, ".gnu_debugdata") ||
                           (m->dwarf && has_section(dwarf_getelf(m->dwarf), SHT_SYMTAB, NULL));
    m->status.has_dynsym = has_section(m->elf, SHT_DYNSYM, NULL);
    for (int i = 1; i < n && i < SYMBOLS_MAX; i++) {
        GElf_Sym sym;
        GElf_Addr address = 0, bias = 0;
        GElf_Word shndx = SHN_UNDEF;
        Elf *elf = NULL;
        const char *name = dwfl_module_getsym_info(m->mod, i, &sym, &address, &shndx, &elf, &bias);
        if (!name)
            continue;
        if (elf && elf != m->elf)
            m->status.has_symtab = true; /* from a debug file without DWARF */
        if (GELF_ST_TYPE(sym.st_info) == STT_FILE) {
            file = *name ? base_name(name) : NULL;
            continue;
        }
        struct elf_symbols *table = shndx == SHN_UNDEF || !*name ? NULL : table_of(m, &sym, shndx, elf);
        if (!table)
            continue;
        bool local = GELF_ST_BIND(sym.st_info) == STB_LOCAL;
        struct elf_symbol s = {
            .address = table == &m->tls ? sym.st_value : address,
            .size = sym.st_size,
            .name = name,
            .file = local ? file : NULL,
            .rank = symbol_rank(&sym, name),
            .local = local,
        };
        if (!symbols_add(table, &s))
            break;
    }
    symbols_sort(&m->functions);
    symbols_sort(&m->data);
    symbols_sort(&m->tls);
}

/* GOT slots with a symbol: relocations of the PLT and of calls without PLT. */
static void load_relocations(struct symbol_module *m, Elf_Scn *scn, const GElf_Shdr *sh)
{
    GElf_Shdr symbols_header;
    Elf_Scn *symbols_scn = elf_getscn(m->elf, sh->sh_link);
    Elf_Data *data = elf_getdata(scn, NULL), *symbols = symbols_scn ? elf_getdata(symbols_scn, NULL) : NULL;
    if (!data || !symbols || !gelf_getshdr(symbols_scn, &symbols_header))
        return;
    GElf_Rela r;
    GElf_Sym sym;
    for (int i = 0; i < SYMBOLS_MAX && gelf_getrela(data, i, &r); i++) {
        u32 type = GELF_R_TYPE(r.r_info);
        if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) ||
            !gelf_getsym(symbols, (int)GELF_R_SYM(r.r_info), &sym))
            continue;
        const char *name = elf_strptr(m->elf, symbols_header.sh_link, sym.st_name);
        struct elf_symbol s = {.address = r.r_offset + m->elf_bias, .size = 8, .name = name};
        if (name && *name && !symbols_add(&m->slots, &s))
            return;
    }
}

/* PLT entries: an indirect jump through a GOT slot, perhaps behind endbr64 or with a bnd prefix. They are found by that
 * jump, whatever the section is called (.plt, .plt.sec, .plt.got). */
static void load_stubs(struct symbol_module *m, Elf_Scn *scn, const GElf_Shdr *sh)
{
    Elf_Data *data = elf_getdata(scn, NULL);
    const u8 *b = data ? data->d_buf : NULL;
    if (!b || data->d_size < 8)
        return;
    for (size_t i = 0; i + 8 <= data->d_size; i += 8) {
        size_t at = i;
        if (memcmp(b + at, "\xf3\x0f\x1e\xfa", 4) == 0)
            at += 4;
        if (at < data->d_size && b[at] == 0xf2)
            at++;
        int32_t distance;
        if (at + 6 > data->d_size || b[at] != 0xff || b[at + 1] != 0x25)
            continue;
        memcpy(&distance, b + at + 2, 4);
        u64 base = sh->sh_addr + m->elf_bias;
        const char *name = symbols_slot(m, base + at + 6 + (u64)(int64_t)distance);
        struct elf_symbol s = {.address = base + i, .size = 1, .name = name};
        if (name && !symbols_add(&m->stubs, &s))
            return;
    }
}

static void load_stubs_once(struct symbol_module *m)
{
    GElf_Ehdr eh;
    size_t strings;
    if (m->stubs_known)
        return;
    m->stubs_known = true;
    if (!m->elf || !gelf_getehdr(m->elf, &eh) || eh.e_machine != EM_X86_64 || elf_getshdrstrndx(m->elf, &strings) != 0)
        return;
    for (int pass = 0; pass < 2; pass++) {
        Elf_Scn *scn = NULL;
        GElf_Shdr sh;
        while ((scn = section_next(m->elf, scn, &sh))) {
            if (!(sh.sh_flags & SHF_ALLOC))
                continue;
            const char *name = elf_strptr(m->elf, strings, sh.sh_name);
            if (pass == 0 && sh.sh_type == SHT_RELA)
                load_relocations(m, scn, &sh);
            else if (pass == 1 && sh.sh_type == SHT_PROGBITS && name && strncmp(name, ".plt", 4) == 0)
                load_stubs(m, scn, &sh);
        }
        symbols_sort(pass == 0 ? &m->slots : &m->stubs);
    }
}

const char *symbols_slot(struct symbol_module *m, u64 slot)
{
    load_stubs_once(m);
    const struct elf_symbol *s = symbols_at(&m->slots, slot, false);
    return s && s->address == slot ? s->name : NULL;
}

const char *symbols_call_target(struct symbol_module *m, u64 target)
{
    load_stubs_once(m);
    const struct elf_symbol *s = symbols_at(&m->stubs, target, false);
    if (!s || s->address != target)
        s = symbols_at(&m->functions, target, false);
    return s && s->address == target ? s->name : NULL;
}

const u8 *module_bytes(struct symbol_module *m, u64 address, size_t *available)
{
    Elf_Scn *scn = NULL;
    GElf_Shdr sh;
    while (m->elf && (scn = section_next(m->elf, scn, &sh))) {
        if (sh.sh_type != SHT_PROGBITS || !(sh.sh_flags & SHF_EXECINSTR))
            continue;
        u64 offset = address - (sh.sh_addr + m->elf_bias);
        Elf_Data *data = offset < sh.sh_size ? elf_getdata(scn, NULL) : NULL;
        if (data && data->d_buf && offset < data->d_size) {
            *available = data->d_size - offset;
            return (const u8 *)data->d_buf + offset;
        }
    }
    return NULL;
}
