/* Options of the verbs: the table of model/options.h through argp. Called by the verbs. Takes no locks; allocates with
 * malloc.
 *
 * argp tells of wrong options, but not what was meant; so options are looked at before it sees them (check_names). */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

#define KEY_FIRST 1000 /* of the options in the table; key = KEY_FIRST + id */
#define KEY_FORMAT 2000
#define KEY_AT_EXIT 2001
#define KEY_FINDING 2002
#define KEY_OWN 3000 /* of a verb's own options without a letter */
#define GROUP_HEADERS 10

struct parsing {
    struct settings *s;
    const struct settings_verb *verb;
    int arguments;
};

static bool offered(const struct settings_verb *verb, int id)
{
    if (verb->plain)
        return id == OPTION_ID_COLOR;
    if (verb->all)
        return true;
    if (id == OPTION_ID_FORCE || id == OPTION_ID_GDB)
        return false;
    return option_table[id].scope == SCOPE_TOOL || id == OPTION_ID_EXIT_CODE;
}

/* Where the name of an option's file goes; NULL for other options. */
static const char **file_of(struct settings *s, enum option_id id)
{
    switch (id) {
    case OPTION_ID_JSON:
        return &s->json;
    case OPTION_ID_SARIF:
        return &s->sarif;
    case OPTION_ID_JUNIT:
        return &s->junit;
    case OPTION_ID_HTML:
        return &s->html;
    case OPTION_ID_DOT:
        return &s->dot;
    case OPTION_ID_SVG:
        return &s->svg;
    case OPTION_ID_LOG:
        return &s->log;
    case OPTION_ID_BASELINE:
        return &s->baseline;
    default:
        return NULL;
    }
}

/* Stores one option that has been checked. */
static int set_tool(struct settings *s, enum option_id id, const char *value, char *err, size_t errlen)
{
    bool yes = options_flag(value, value ? strlen(value) : 0) == 1;
    const char **file = file_of(s, id);
    if (file)
        *file = value;
    switch (id) {
    case OPTION_ID_GITHUB:
        s->github = yes;
        break;
    case OPTION_ID_SUPPRESSIONS:
        if (s->nsuppressions == ARRAY_LEN(s->suppressions)) {
            snprintf(err, errlen, "suppressions: at most %d files", SETTINGS_FILES);
            return -EINVAL;
        }
        s->suppressions[s->nsuppressions++] = value;
        break;
    case OPTION_ID_COLOR:
        s->color = strcmp(value, "auto") == 0 ? 0 : strcmp(value, "always") == 0 ? 1 : 2;
        break;
    case OPTION_ID_FAIL_ON:
        s->fail_on_given = true;
        s->fail_on_text = value;
        return fail_on_parse(&s->fail_on, value, err, errlen);
    case OPTION_ID_QUIET:
        s->quiet = yes;
        break;
    case OPTION_ID_VERBOSE:
        s->verbose = yes;
        break;
    case OPTION_ID_FORCE:
        s->force = yes;
        break;
    case OPTION_ID_GDB:
        s->gdb = yes;
        break;
    default:
        break;
    }
    return 0;
}

static int set_option(struct settings *s, enum option_id id, const char *value, char *err, size_t errlen)
{
    int bad = options_set(&s->run, id, value, value ? strlen(value) : 0, err, errlen);
    return bad ? bad : set_tool(s, id, value, err, errlen);
}

/* ---- SNARL_OPTIONS ---- */

static int set_from_environment(void *context, const char *key, size_t n, const char *value, size_t value_length)
{
    struct settings *s = context;
    char err[256];
    int id = options_find(key, n);
    if (id < 0) {
        options_explain_unknown(key, n, err, sizeof err);
        cli_say("SNARL_OPTIONS: %s", err);
        return 0;
    }
    char *copy = value ? strndup(value, value_length) : NULL; /* the settings keep it */
    if (set_option(s, (enum option_id)id, copy, err, sizeof err)) {
        cli_say("SNARL_OPTIONS: %s", err);
        free(copy);
    }
    return 0;
}

/* ---- the command line ---- */

static int own_key(const struct settings_option *o, size_t i)
{
    return o->letter ? o->letter : KEY_OWN + (int)i;
}

static bool parse_own(struct parsing *p, int key, const char *argument)
{
    const struct settings_option *o = p->verb->own;
    for (size_t i = 0; o && o[i].help; i++) {
        if (own_key(&o[i], i) != key)
            continue;
        p->s->own[i] = argument ? argument : "";
        return true;
    }
    return false;
}

static error_t parse_option(int key, char *argument, struct argp_state *state)
{
    struct parsing *p = state->input;
    char err[256];
    if (parse_own(p, key, argument))
        return 0;
    if (key >= KEY_FIRST && key < KEY_FIRST + OPTION_ID_COUNT) {
        if (set_option(p->s, (enum option_id)(key - KEY_FIRST), argument, err, sizeof err)) {
            cli_say("--%s", err);
            return EINVAL;
        }
        return 0;
    }
    switch (key) {
    case 'q':
        p->s->quiet = true;
        return 0;
    case 'v':
        p->s->verbose = true;
        return 0;
    case KEY_AT_EXIT:
        p->s->at_exit = true;
        return 0;
    case KEY_FINDING:
        p->s->finding = (u32)strtoul(argument, NULL, 10);
        return 0;
    case KEY_FORMAT:
        p->s->format = argument;
        return 0;
    case ARGP_KEY_ARG:
        if (p->arguments++ == 0)
            p->s->first = state->next - 1;
        if (p->verb->most < 0)
            state->next = state->argc; /* the rest is the program's */
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const char *option_help(const struct settings_verb *verb, int id)
{
    char *text = NULL;
    const struct option_def *d = &option_table[id];
    const char *initial = id == OPTION_ID_FAIL_ON && verb->fail_on ? verb->fail_on : d->initial;
    bool told = initial[0] && d->kind != OPTION_FLAG && strcmp(initial, "no") != 0;
    if (asprintf(&text, "%s%s%s%s", d->help, told ? " (default: " : "", told ? initial : "", told ? ")" : "") < 0)
        abort();
    return text;
}

/* The options as argp wants them, ended by zeroes. Lives as long as the process. */
static struct argp_option *make_options(const struct settings_verb *verb)
{
    static const char *const titles[] = {OPTION_GROUP_TITLES};
    struct argp_option *o = calloc(OPTION_ID_COUNT + GROUP_COUNT + SETTINGS_OWN + 8, sizeof *o), *next = o;
    if (!o)
        abort();
    if (verb->own)
        *next++ = (struct argp_option){.doc = "What is analysed", .group = 1};
    for (size_t i = 0; verb->own && verb->own[i].help; i++) {
        const struct settings_option *own = &verb->own[i];
        *next++ = (struct argp_option){own->name, own_key(own, i), own->metavar, 0, own->help, 1};
    }
    for (int g = 0; g < GROUP_COUNT; g++) {
        bool header = false;
        for (int id = 0; id < OPTION_ID_COUNT; id++) {
            const struct option_def *d = &option_table[id];
            if (d->group != g || !offered(verb, id) || (options_is_unshown(id) && !options_unfinished))
                continue;
            if (!header && !verb->plain)
                *next++ = (struct argp_option){.doc = titles[g], .group = g + 1};
            header = true;
            int key = id == OPTION_ID_QUIET ? 'q' : id == OPTION_ID_VERBOSE ? 'v' : KEY_FIRST + id;
            *next++ = (struct argp_option){d->name,
                                           key,
                                           d->metavar[0] ? d->metavar : NULL,
                                           (d->bare && d->metavar[0] ? OPTION_ARG_OPTIONAL : 0) |
                                               (options_is_unshown(id) ? OPTION_HIDDEN : 0),
                                           option_help(verb, id),
                                           g + 1};
        }
    }
    if (verb->formats)
        *next++ = (struct argp_option){"format", KEY_FORMAT, "FORMAT", 0, verb->formats, GROUP_OUTPUT + 1};
    *next++ = (struct argp_option){"at-exit", KEY_AT_EXIT, NULL, OPTION_HIDDEN, NULL, 0};
    *next++ = (struct argp_option){"finding", KEY_FINDING, "REF", OPTION_HIDDEN, NULL, 0};
    *next++ = (struct argp_option){"help", 'h', NULL, 0, "this help", -1};
    return o;
}

/* The option that a word names exactly or as the only one that begins so; NULL and a message when there is none. */
static const struct argp_option *match_name(const struct argp_option *o, const char *word, size_t n)
{
    const struct argp_option *found = NULL;
    const char *names[64];
    char plain[64];
    size_t count = 0;
    int prefixes = 0;
    for (; o->name || o->doc; o++) {
        if (!o->name)
            continue;
        if (!(o->flags & OPTION_HIDDEN) && count < ARRAY_LEN(names))
            names[count++] = o->name;
        if (strncmp(o->name, word, n) != 0)
            continue;
        if (!o->name[n])
            return o;
        found = o;
        prefixes++;
    }
    if (prefixes == 1)
        return found;
    snprintf(plain, sizeof plain, "%.*s", (int)n, word);
    if (prefixes > 1) {
        cli_say("option '--%s' could be several", plain);
        return NULL;
    }
    u32 best = (u32)(n / 2 + 1 < 4 ? n / 2 + 1 : 4);
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        u32 d = options_distance(word, n, names[i], strlen(names[i]));
        if (d < best) {
            best = d;
            nearest = names[i];
        }
    }
    char err[256];
    options_explain_unknown(word, n, err, sizeof err);
    if (strstr(err, "version"))
        cli_say("%s", err);
    else
        cli_say("unknown option '--%s'%s%s%s", plain, nearest ? "; did you mean '--" : "", nearest ? nearest : "",
                nearest ? "'?" : "");
    return NULL;
}

static const struct argp_option *find_letter(const struct argp_option *o, char letter)
{
    for (; o->name || o->doc || o->key; o++)
        if (o->key == letter)
            return o;
    return NULL;
}

/* "-qv", or "-oOUT". How many words it takes; 0 and a message when it is wrong. */
static int check_letters(const struct argp_option *options, const char *word, bool last)
{
    for (const char *at = word + 1; *at; at++) {
        const struct argp_option *o = find_letter(options, *at);
        if (!o) {
            cli_say("unknown option '-%c'", *at >= ' ' && *at <= '~' ? *at : '?');
            return 0;
        }
        if (!o->arg)
            continue;
        if (!at[1] && last)
            cli_say("-%c needs a value: -%c %s", *at, *at, o->arg);
        return at[1] ? 1 : last ? 0 : 2;
    }
    return 1;
}

/* The same for a long one. */
static int check_name(const struct argp_option *options, const char *word, bool last)
{
    size_t n = strcspn(word + 2, "=");
    const struct argp_option *o = match_name(options, word + 2, n);
    if (!o)
        return 0;
    bool given = word[2 + n] == '=', needed = o->arg && !(o->flags & OPTION_ARG_OPTIONAL);
    if (given && !o->arg)
        cli_say("--%s takes no value", o->name);
    else if (needed && !given && last)
        cli_say("--%s needs a value: --%s=%s", o->name, o->name, o->arg);
    else
        return needed && !given ? 2 : 1;
    return 0;
}

/* Every option up to the first argument is known, and has a value if it takes one. */
static bool check_names(const struct argp_option *options, const struct settings_verb *verb, int argc, char **argv)
{
    for (int i = 1, taken; i < argc; i += taken) {
        bool last = i + 1 == argc;
        if (strcmp(argv[i], "--") == 0 || (verb->most < 0 && argv[i][0] != '-'))
            return true;
        taken = strncmp(argv[i], "--", 2) == 0         ? check_name(options, argv[i], last)
                : argv[i][0] == '-' && argv[i][1] != 0 ? check_letters(options, argv[i], last)
                                                       : 1;
        if (!taken)
            return false;
    }
    return true;
}

static bool wants_help(const struct settings_verb *verb, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0 && !(verb->most < 0 && argv[i][0] != '-'); i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int usage_error(const struct settings_verb *verb, int *status)
{
    fprintf(stderr, "Usage: snarl %s [OPTION...] %s\n`snarl %s --help` says more.\n", verb->name, verb->arguments,
            verb->name);
    *status = STATUS_USAGE;
    return -1;
}

void (*settings_listener)(const struct settings_verb *verb, const struct argp_option *options);

int settings_parse(struct settings *s, const struct settings_verb *verb, int argc, char **argv, int *status)
{
    char *doc = NULL, name[32], format[64], none[1];
    struct argp_option *options = make_options(verb);
    const char *rest = strstr(verb->examples, "\n\n"); /* what is not an example stands before them */
    int examples = rest ? (int)(rest - verb->examples) : (int)strlen(verb->examples);
    if (asprintf(&doc, "%s\v%s%s%.*s", verb->text, rest ? rest + 2 : "", rest ? "\n\n" : "", examples, verb->examples) <
        0)
        abort();
    struct argp argp = {.options = options, .parser = parse_option, .args_doc = verb->arguments, .doc = doc};
    struct parsing p = {s, verb, 0};
    snprintf(name, sizeof name, "snarl %s", verb->name);
    memset(s, 0, sizeof *s);
    options_default(&s->run);
    fail_on_parse(&s->fail_on, verb->fail_on ? verb->fail_on : option_table[OPTION_ID_FAIL_ON].initial, none, 0);
    if (!verb->plain && getenv("SNARL_OPTIONS"))
        options_split(getenv("SNARL_OPTIONS"), set_from_environment, s);
    if (settings_listener) {
        settings_listener(verb, options);
        *status = 0;
        return -1;
    }
    if (wants_help(verb, argc, argv)) {
        snprintf(format, sizeof format, "rmargin=%u,opt-doc-col=26,header-col=0", cli_width(1) - 1);
        setenv("ARGP_HELP_FMT", format, 0);
        argp_help(&argp, stdout, ARGP_HELP_STD_HELP & ~(unsigned)(ARGP_HELP_EXIT_OK | ARGP_HELP_BUG_ADDR), name);
        *status = 0;
        return -1;
    }
    if (!check_names(options, verb, argc, argv))
        return usage_error(verb, status);
    unsigned flags = ARGP_NO_HELP | ARGP_NO_EXIT | ARGP_NO_ERRS | (verb->most < 0 ? ARGP_IN_ORDER : 0);
    argv[0] = name;
    if (argp_parse(&argp, argc, argv, flags, NULL, &p))
        return usage_error(verb, status);
    if (p.arguments < verb->least || (verb->most >= 0 && p.arguments > verb->most)) {
        cli_say(p.arguments < verb->least ? "%s: something is missing" : "%s: too many arguments", verb->name);
        return usage_error(verb, status);
    }
    free(doc);
    if (!verb->plain && judge_open(s, verb)) {
        *status = STATUS_USAGE;
        return -1;
    }
    return 0;
}
