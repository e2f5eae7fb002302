/* What functions without a body do. Called by everything that reads calls. Takes no locks; allocates with malloc.
 *
 * The built-in lines and those of a model file have one form:
 *   NAME ACTION [arg=N] [other=N] [third=N] [kind=KIND] [shared] [timed] [true] [recursive]
 * Arguments count from 0. */
#include "known.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const struct {
    const char *word;
    enum known_op op;
} actions[] = {
    {"plain", K_PLAIN},
    {"lock", K_LOCK},
    {"trylock", K_TRYLOCK},
    {"unlock", K_UNLOCK},
    {"wait", K_WAIT},
    {"signal", K_SIGNAL},
    {"init", K_INIT},
    {"destroy", K_DESTROY},
    {"set-recursive", K_RECURSIVE},
    {"create", K_CREATE},
    {"join", K_JOIN},
    {"detach", K_DETACH},
    {"once", K_ONCE},
    {"barrier", K_BARRIER},
    {"barrier-init", K_BARRIER_INIT},
    {"sem-wait", K_SEM_WAIT},
    {"sem-post", K_SEM_POST},
    {"sem-init", K_SEM_INIT},
    {"alloc", K_ALLOC},
    {"realloc", K_REALLOC},
    {"free", K_FREE},
    {"exit", K_EXIT},
    {"fork", K_FORK},
    {"exec", K_EXEC},
    {"handler", K_SIGNAL_HANDLER},
    {"callback", K_CALLBACK},
    {"same", K_SAME},
    {"atomic-begin", K_ATOMIC_BEGIN},
    {"atomic-end", K_ATOMIC_END},
    {"reads", K_READS},
    {"writes", K_WRITES},
    {"copies", K_COPIES},
    {"intended-race", K_INTENDED},
};

static const char *const kinds[LOCK_KIND_COUNT] = {"mutex", "rwlock", "spin", "sem", "file", "custom", "once"};

static struct known *table;
static u32 count, cap;
static struct map by_name;
static struct texts names;

static bool number(const char *word, const char *key, u8 *out)
{
    size_t n = strlen(key);
    if (strncmp(word, key, n) != 0 || word[n] != '=' || !isdigit((unsigned char)word[n + 1]))
        return false;
    *out = (u8)atoi(word + n + 1);
    return true;
}

static bool flag(struct known *k, const char *word)
{
    k->shared |= strcmp(word, "shared") == 0;
    k->timed |= strcmp(word, "timed") == 0;
    k->true_means |= strcmp(word, "true") == 0;
    k->recursive |= strcmp(word, "recursive") == 0;
    return strcmp(word, "shared") == 0 || strcmp(word, "timed") == 0 || strcmp(word, "true") == 0 ||
           strcmp(word, "recursive") == 0;
}

static bool setting(struct known *k, const char *word)
{
    for (u32 i = 0; strncmp(word, "kind=", 5) == 0 && i < LOCK_KIND_COUNT; i++)
        if (strcmp(word + 5, kinds[i]) == 0) {
            k->kind = (u8)i;
            return true;
        }
    return flag(k, word) || number(word, "arg", &k->arg) || number(word, "other", &k->other) ||
           number(word, "third", &k->third);
}

/* What is wrong with the line, or NULL. The line is cut into words. */
static const char *add_line(char *line, const char **word)
{
    struct known k = {.other = 255, .third = 255};
    char *rest, *name = strtok_r(line, " \t\r\n", &rest);
    if (!name || *name == '#')
        return NULL;
    *word = strtok_r(NULL, " \t\r\n", &rest);
    if (!*word)
        return "the action is missing after";
    for (size_t i = 0; i < ARRAY_LEN(actions); i++)
        if (strcmp(*word, actions[i].word) == 0)
            k.op = (u8)actions[i].op;
    if (k.op == K_NONE)
        return "unknown action";
    while ((*word = strtok_r(NULL, " \t\r\n", &rest)) && **word != '#')
        if (!setting(&k, *word))
            return "unknown setting";
    u32 text = texts_add(&names, name, strlen(name)), *known = map_put(&by_name, text);
    if (!*known) {
        if (count == cap)
            table = store_grow(table, &cap, count + 1, sizeof *table);
        *known = ++count;
    }
    k.name = strdup(name);
    table[*known - 1] = k;
    return NULL;
}

static void built_in(void)
{
    extern const char *const known_lines[];
    for (u32 i = 0; known_lines[i]; i++) {
        const char *word;
        char *line = strdup(known_lines[i]);
        if (!line || add_line(line, &word))
            abort(); /* the unit test reads them all */
        free(line);
    }
}

const struct known *known_find(const char *name)
{
    if (!count)
        built_in();
    u32 text = texts_add(&names, name, strlen(name));
    u32 *known = map_get(&by_name, text);
    return known ? &table[*known - 1] : NULL;
}

int known_read(const char *path, char *err, size_t errlen)
{
    char *line = NULL;
    size_t size = 0;
    int at = 0, failed = 0;
    FILE *file = fopen(path, "re");
    if (!file) {
        snprintf(err, errlen, "%s: %s", path, strerror(errno));
        return -EINVAL;
    }
    known_find("");
    while (!failed && getline(&line, &size, file) >= 0) {
        const char *word = "", *wrong = add_line(line, &word);
        at++;
        if (wrong) {
            snprintf(err, errlen, "%s:%d: %s '%s'", path, at, wrong, word ? word : line);
            failed = -EINVAL;
        }
    }
    free(line);
    fclose(file);
    return failed;
}

const struct known **known_table(const struct program *p)
{
    const struct known **by_function = store_alloc((p->functions.n + 1) * sizeof(void *));
    known_find("");
    for (u32 i = 0; i < p->functions.n; i++) {
        const struct known *k = known_find(text_of(p, p->functions.at[i].name));
        bool own = p->functions.at[i].flags & FN_DEFINED;
        /* A body counts more than what a function of that name usually does, but for what is told on purpose. */
        bool told = k && (k->op == K_LOCK || k->op == K_TRYLOCK || k->op == K_UNLOCK || k->op == K_ATOMIC_BEGIN ||
                          k->op == K_ATOMIC_END);
        by_function[i] = k && (!own || (told && k->kind == LOCK_CUSTOM)) ? k : NULL;
    }
    return by_function;
}
