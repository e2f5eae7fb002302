/* Reads loaded ELF modules in memory: their extent, identity and dynamic symbols. Called by modules.c while the module
 * cannot be unmapped. Takes no lock, allocates nothing. Every address taken from the module is checked against its
 * loaded segments, so that a damaged module yields nothing instead of a fault. */
#include <elf.h>
#include <sys/auxv.h>

#include "modules_internal.h"
#include "unwind/safe.h"

#define PAGE 4096ULL
#define MAX_HEADERS 128u

static const ElfW(Phdr) * headers_of(const struct module *m)
{
    return (const ElfW(Phdr) *)m->headers;
}

/* The end of the readable segment around addr, 0 if there is none. */
static u64 segment_end(const struct module *m, u64 addr)
{
    const ElfW(Phdr) *p = headers_of(m);
    for (u32 i = 0; i < m->nheaders; i++, p++) {
        u64 lo = m->bias + p->p_vaddr;
        if (p->p_type == PT_LOAD && (p->p_flags & PF_R) && addr >= lo && addr - lo < p->p_memsz)
            return lo + p->p_memsz;
    }
    return 0;
}

static bool readable(const struct module *m, u64 addr, u64 n)
{
    u64 end = segment_end(m, addr);
    return end && n <= end - addr;
}

static bool find_headers(struct module *m, u64 header)
{
    if (!header) {
        m->headers = getauxval(AT_PHDR);
        m->nheaders = (u32)getauxval(AT_PHNUM);
        return m->headers && m->nheaders && m->nheaders <= MAX_HEADERS;
    }
    const ElfW(Ehdr) *e = (const ElfW(Ehdr) *)header;
    if ((header & 7) || !safe_readable(header) || __builtin_memcmp(e->e_ident, ELFMAG, SELFMAG) ||
        e->e_ident[EI_CLASS] != ELFCLASS64 || e->e_phentsize != sizeof(ElfW(Phdr)) || e->e_phnum > MAX_HEADERS ||
        e->e_phoff > PAGE - sizeof(ElfW(Phdr)))
        return false;
    m->headers = header + e->e_phoff;
    m->nheaders = e->e_phnum;
    u64 last = (m->headers + m->nheaders * sizeof(ElfW(Phdr)) - 8) & ~7ULL;
    return m->nheaders && (last / PAGE == header / PAGE || safe_readable(last));
}

/* The loader tells the bias, not where the file's first page is; these are the same unless the library was linked for
 * an address. Then the header is the first one below the dynamic section. */
static u64 search_header(u64 bias, u64 dynamic)
{
    if (bias && safe_readable(bias) && !__builtin_memcmp((void *)bias, ELFMAG, SELFMAG))
        return bias;
    u64 page = dynamic & ~(PAGE - 1);
    for (u32 i = 0; i < 16384 && page; i++, page -= PAGE)
        if (safe_readable(page) && !__builtin_memcmp((void *)page, ELFMAG, SELFMAG))
            return page;
    return 0;
}

bool elf_describe(struct module *m, bool is_main, u64 bias, u64 dynamic)
{
    u64 header = is_main ? 0 : search_header(bias, dynamic);
    m->bias = bias;
    if ((!is_main && !header) || !find_headers(m, header))
        return false;
    const ElfW(Phdr) *p = headers_of(m);
    m->lo = ~0ULL;
    m->hi = m->dynamic = m->eh_hdr = m->eh_lo = m->eh_hi = 0;
    for (u32 i = 0; i < m->nheaders; i++, p++) {
        u64 at = bias + p->p_vaddr;
        if (p->p_type == PT_LOAD) {
            u64 end = (at + p->p_memsz + PAGE - 1) & ~(PAGE - 1);
            m->lo = (at & ~(PAGE - 1)) < m->lo ? at & ~(PAGE - 1) : m->lo;
            m->hi = end > m->hi ? end : m->hi;
        } else if (p->p_type == PT_DYNAMIC) {
            m->dynamic = at;
        } else if (p->p_type == PT_GNU_EH_FRAME) {
            m->eh_hdr = at;
        }
    }
    if (m->lo >= m->hi)
        return false;
    p = headers_of(m);
    for (u32 i = 0; m->eh_hdr && i < m->nheaders; i++, p++) {
        u64 at = bias + p->p_vaddr;
        if (p->p_type == PT_LOAD && (p->p_flags & PF_R) && m->eh_hdr >= at && m->eh_hdr - at < p->p_filesz) {
            m->eh_lo = at;
            m->eh_hi = at + p->p_filesz;
        }
    }
    if (!m->eh_lo)
        m->eh_hdr = 0;
    return true;
}

/* ---- the dynamic section ---- */

struct dynamic {
    u64 symbols, strings, strings_size, gnu_hash, hash, versions, soname;
    u64 relocations, relocations_size, plt, plt_size; /* with addends, as this architecture has them */
};

/* glibc adds the bias to pointers in place where the section is writable; elsewhere (vDSO) they are as in the file. */
static u64 dynamic_pointer(const struct module *m, u64 value)
{
    return value >= m->lo && value < m->hi ? value : value + m->bias;
}

static bool read_dynamic(const struct module *m, struct dynamic *d)
{
    *d = (struct dynamic){.soname = ~0ULL};
    u64 end = m->dynamic ? segment_end(m, m->dynamic) : 0;
    for (u64 at = m->dynamic; end && at + sizeof(ElfW(Dyn)) <= end; at += sizeof(ElfW(Dyn))) {
        const ElfW(Dyn) *e = (const ElfW(Dyn) *)at;
        u64 value = e->d_un.d_val;
        switch (e->d_tag) {
        case DT_NULL:
            return d->symbols && d->strings;
        case DT_SYMTAB:
            d->symbols = dynamic_pointer(m, value);
            break;
        case DT_STRTAB:
            d->strings = dynamic_pointer(m, value);
            break;
        case DT_STRSZ:
            d->strings_size = value;
            break;
        case DT_GNU_HASH:
            d->gnu_hash = dynamic_pointer(m, value);
            break;
        case DT_HASH:
            d->hash = dynamic_pointer(m, value);
            break;
        case DT_VERSYM:
            d->versions = dynamic_pointer(m, value);
            break;
        case DT_SONAME:
            d->soname = value;
            break;
        case DT_RELA:
            d->relocations = dynamic_pointer(m, value);
            break;
        case DT_RELASZ:
            d->relocations_size = value;
            break;
        case DT_JMPREL:
            d->plt = dynamic_pointer(m, value);
            break;
        case DT_PLTRELSZ:
            d->plt_size = value;
            break;
        default:
            break;
        }
    }
    return false;
}

/* The NUL-terminated string at this offset, or NULL. */
static const char *string_at(const struct module *m, const struct dynamic *d, u64 offset, u32 *length)
{
    u64 at = d->strings + offset;
    if (offset >= d->strings_size || !readable(m, at, 1))
        return NULL;
    u64 most = d->strings_size - offset, end = segment_end(m, at);
    most = most < end - at ? most : end - at;
    for (u32 i = 0; i < most; i++)
        if (!((const char *)at)[i]) {
            *length = i;
            return (const char *)at;
        }
    return NULL;
}

/* ---- symbols ---- */

struct wanted {
    const char *name;
    u32 length;
    u64 found, hidden; /* default version; another one */
};

/* True when the search is over. */
static bool consider(const struct module *m, const struct dynamic *d, u32 index, struct wanted *w)
{
    u64 at = d->symbols + (u64)index * sizeof(ElfW(Sym));
    if (!readable(m, at, sizeof(ElfW(Sym))))
        return true;
    const ElfW(Sym) *s = (const ElfW(Sym) *)at;
    u32 type = ELF64_ST_TYPE(s->st_info), bind = ELF64_ST_BIND(s->st_info), length;
    if (s->st_shndx == SHN_UNDEF || type == STT_TLS || type > STT_GNU_IFUNC || bind == STB_LOCAL)
        return false;
    const char *name = string_at(m, d, s->st_name, &length);
    if (!name || length != w->length || __builtin_memcmp(name, w->name, length))
        return false;
    u64 value = s->st_shndx == SHN_ABS ? s->st_value : m->bias + s->st_value;
    if (type == STT_GNU_IFUNC)
        value = ((u64(*)(void))value)();
    u64 version = d->versions + (u64)index * 2;
    if (d->versions && readable(m, version, 2) && (*(const u16 *)version & 0x8000)) {
        w->hidden = value;
        return false;
    }
    w->found = value;
    return true;
}

static void search_gnu_hash(const struct module *m, const struct dynamic *d, struct wanted *w)
{
    if (!readable(m, d->gnu_hash, 16))
        return;
    const u32 *t = (const u32 *)d->gnu_hash;
    u32 nbuckets = t[0], first = t[1], nbloom = t[2], shift = t[3], h = 5381;
    u64 buckets = d->gnu_hash + 16 + (u64)nbloom * 8, chains = buckets + (u64)nbuckets * 4;
    u64 end = segment_end(m, d->gnu_hash);
    if (!nbuckets || !nbloom || chains > end)
        return;
    for (u32 i = 0; i < w->length; i++)
        h = h * 33 + (u8)w->name[i];
    u64 word = ((const u64 *)(d->gnu_hash + 16))[h / 64 % nbloom];
    if (!(word >> (h & 63) & word >> (h >> (shift & 31) & 63) & 1))
        return;
    u32 i = ((const u32 *)buckets)[h % nbuckets];
    for (; i >= first && chains + (u64)(i - first) * 4 + 4 <= end; i++) {
        u32 chain = ((const u32 *)chains)[i - first];
        if (((chain ^ h) >> 1) == 0 && consider(m, d, i, w))
            return;
        if (chain & 1)
            return;
    }
}

static void search_hash(const struct module *m, const struct dynamic *d, struct wanted *w)
{
    if (!readable(m, d->hash, 8))
        return;
    const u32 *t = (const u32 *)d->hash;
    u32 nbuckets = t[0], nchains = t[1], h = 0;
    if (!nbuckets || !readable(m, d->hash, 8 + ((u64)nbuckets + nchains) * 4))
        return;
    for (u32 i = 0; i < w->length; i++) {
        h = (h << 4) + (u8)w->name[i];
        h = (h ^ (h >> 24 & 0xf0)) & 0x0fffffff;
    }
    u32 i = t[2 + h % nbuckets];
    for (u32 steps = 0; i && i < nchains && steps < nchains; steps++, i = t[2 + nbuckets + i])
        if (consider(m, d, i, w))
            return;
}

void *modules_symbol_in(const struct module *m, const char *name)
{
    struct dynamic d;
    struct wanted w = {name, 0, 0, 0};
    while (name[w.length])
        w.length++;
    if (!read_dynamic(m, &d))
        return NULL;
    if (d.gnu_hash)
        search_gnu_hash(m, &d, &w);
    else if (d.hash)
        search_hash(m, &d, &w);
    return (void *)(w.found ? w.found : w.hidden);
}

/* ---- imports ---- */

static void each_relocation(const struct module *m, const struct dynamic *d, u64 at, u64 size, elf_import_fn *fn,
                            void *arg)
{
    if (!at || !readable(m, at, size))
        return;
    for (const ElfW(Rela) *r = (const ElfW(Rela) *)at; size >= sizeof *r; r++, size -= sizeof *r) {
        u32 type = ELF64_R_TYPE(r->r_info), length;
        u64 symbol = d->symbols + ELF64_R_SYM(r->r_info) * sizeof(ElfW(Sym)), slot = m->bias + r->r_offset;
        bool calls = type == R_X86_64_JUMP_SLOT || type == R_X86_64_GLOB_DAT || (type == R_X86_64_64 && !r->r_addend);
        if (!calls || !ELF64_R_SYM(r->r_info) || !readable(m, symbol, sizeof(ElfW(Sym))) || (slot & 7) ||
            !readable(m, slot, 8))
            continue;
        const char *name = string_at(m, d, ((const ElfW(Sym) *)symbol)->st_name, &length);
        if (name)
            fn(arg, m, name, (u64 *)slot, type == R_X86_64_JUMP_SLOT);
    }
}

void elf_each_import(const struct module *m, elf_import_fn *fn, void *arg)
{
    struct dynamic d;
    if (!read_dynamic(m, &d))
        return;
    each_relocation(m, &d, d.relocations, d.relocations_size, fn, arg);
    each_relocation(m, &d, d.plt, d.plt_size, fn, arg);
}

bool elf_is_relro(const struct module *m, u64 addr)
{
    const ElfW(Phdr) *p = headers_of(m);
    for (u32 i = 0; i < m->nheaders; i++, p++)
        if (p->p_type == PT_GNU_RELRO && addr - (m->bias + p->p_vaddr) < p->p_memsz)
            return true;
    return false;
}

/* ---- identity ---- */

static void read_build_id(const struct module *m, u64 at, u64 size, u64 align, struct elf_identity *out)
{
    align = align == 8 ? 8 : 4;
    for (u64 left = size; left >= sizeof(ElfW(Nhdr));) {
        const ElfW(Nhdr) *n = (const ElfW(Nhdr) *)at;
        u64 name = (n->n_namesz + align - 1) & ~(align - 1), desc = (n->n_descsz + align - 1) & ~(align - 1);
        u64 need = sizeof *n + name + n->n_descsz;
        if (need > left || !readable(m, at, need))
            return;
        if (n->n_type == NT_GNU_BUILD_ID && n->n_namesz == 4 && !__builtin_memcmp(n + 1, "GNU", 4)) {
            out->build_id_len = n->n_descsz < 32 ? n->n_descsz : 32;
            out->build_id = (const u8 *)(n + 1) + name;
            return;
        }
        if (sizeof *n + name + desc > left)
            return;
        at += sizeof *n + name + desc;
        left -= sizeof *n + name + desc;
    }
}

void elf_identify(const struct module *m, struct elf_identity *out)
{
    struct dynamic d;
    const ElfW(Phdr) *p = headers_of(m);
    *out = (struct elf_identity){0};
    for (u32 i = 0; i < m->nheaders && !out->build_id_len; i++, p++)
        if (p->p_type == PT_NOTE && readable(m, m->bias + p->p_vaddr, p->p_memsz))
            read_build_id(m, m->bias + p->p_vaddr, p->p_memsz, p->p_align, out);
    if (read_dynamic(m, &d) && d.soname != ~0ULL)
        out->soname = string_at(m, &d, d.soname, &out->soname_length);
    out->has_python = modules_symbol_in(m, "_PyRuntime") != NULL;
}

struct r_debug *elf_r_debug(void)
{
    struct module m = {0};
    if (!find_headers(&m, 0))
        return NULL;
    /* The main program's bias: from PT_PHDR or, without one, from the table following the ELF header of the first
     * segment. */
    const ElfW(Phdr) *p = headers_of(&m);
    for (u32 i = m.nheaders; i-- > 0;)
        if (p[i].p_type == PT_LOAD && !p[i].p_offset)
            m.bias = m.headers - sizeof(ElfW(Ehdr)) - p[i].p_vaddr;
    for (u32 i = 0; i < m.nheaders; i++)
        if (p[i].p_type == PT_PHDR)
            m.bias = m.headers - p[i].p_vaddr;
    for (u32 i = 0; i < m.nheaders; i++)
        if (p[i].p_type == PT_DYNAMIC)
            m.dynamic = m.bias + p[i].p_vaddr;
    u64 end = m.dynamic && safe_readable(m.dynamic & ~7ULL) ? segment_end(&m, m.dynamic) : 0;
    for (u64 at = m.dynamic; end && at + sizeof(ElfW(Dyn)) <= end; at += sizeof(ElfW(Dyn))) {
        const ElfW(Dyn) *e = (const ElfW(Dyn) *)at;
        if (e->d_tag == DT_DEBUG)
            return (struct r_debug *)e->d_un.d_ptr;
        if (e->d_tag == DT_NULL)
            break;
    }
    return NULL;
}
