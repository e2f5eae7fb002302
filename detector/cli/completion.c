/* `snarl completion`: scripts with which bash and zsh complete command lines of snarl, made of the tables of verbs and
 * options. Takes no locks; allocates with malloc.
 *
 * What a verb offers is heard from the verb itself: while settings_listener is set, settings_parse tells it the options
 * instead of parsing. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "report/buffer.h"
#include "report/pages.h"

static const struct settings_verb verb = {
    .name = "completion",
    .arguments = "bash|zsh",
    .text = "Writes a script with which the shell completes commands, options and their values. Installed packages "
            "bring both.",
    .examples = "Examples:\n"
                "  source <(snarl completion bash)\n"
                "  snarl completion zsh > ~/.zfunc/_snarl\n",
    .plain = true,
    .least = 1,
    .most = 1,
};

static const struct {
    const char *name, *text;
    int (*run)(int argc, char **argv);
} verbs[] = {
#define X(name, function, arguments, text) {name, text, function},
    CLI_VERBS(X)
#undef X
};

static struct {
    struct buffer out, names;
    bool zsh;
} script;

/* In single quotes. */
static void put_quoted(struct buffer *b, const char *s)
{
    buffer_put(b, "'");
    for (; *s; s++)
        buffer_add(b, *s == '\'' ? "'\\''" : s, *s == '\'' ? 4 : 1);
    buffer_put(b, "'");
}

/* What values an option takes: words for a choice (a list when `list`), else NULL. malloc'd. */
static char *values_of(const struct settings_verb *v, const struct argp_option *o, bool *list)
{
    struct buffer b = {0};
    int id = options_find(o->name, strlen(o->name));
    const char *words = id >= 0 ? option_table[id].choices : "";
    *list = id >= 0 && (option_table[id].kind == OPTION_LIST || id == OPTION_ID_FAIL_ON);
    if (id == OPTION_ID_FAIL_ON)
        words = "proven,all,none,observed,predicted,possible,deadlock,lock-order,data-race,unprotected,atomicity,"
                "lock-misuse,stuck";
    else if (id == OPTION_ID_FOLLOW)
        words = "yes,no";
    for (; *words; words++)
        buffer_add(&b, *words == ',' ? " " : words, 1);
    if (strcmp(o->name, "format") == 0) /* "text, json or dot (default: text)" */
        for (const char *word = v->formats; *word && *word != '(';) {
            size_t n = strcspn(word, ", (");
            if (n && strncmp(word, "or", n) != 0)
                buffer_print(&b, "%s%.*s", b.length ? " " : "", (int)n, word);
            word += n + strspn(word + n, ", ");
        }
    if (b.length)
        return buffer_take(&b);
    return NULL;
}

static bool names_folder(const struct argp_option *o)
{
    return o->arg && strstr(o->arg, "FOLDER");
}

static bool names_file(const struct argp_option *o)
{
    return o->arg && strstr(o->arg, "FILE");
}

static void put_bash_option(const struct settings_verb *v, const struct argp_option *o)
{
    bool list, file = names_file(o), folder = names_folder(o);
    char *values = o->arg ? values_of(v, o, &list) : NULL;
    buffer_print(&script.names, " --%s%s", o->name, o->arg && !(o->flags & OPTION_ARG_OPTIONAL) ? "=" : "");
    if (values)
        buffer_print(&script.out, "    %s--%s) _snarl_%s '%s' ;;\n", v->name, o->name, list ? "list" : "words", values);
    else if (file || folder)
        buffer_print(&script.out, "    %s--%s) _snarl_%s ;;\n", v->name, o->name, file ? "files" : "folders");
    free(values);
}

/* _arguments' "--name=[help]:WHAT:action". */
static void put_zsh_option(const struct settings_verb *v, const struct argp_option *o)
{
    struct buffer b = {0};
    bool list, optional = o->flags & OPTION_ARG_OPTIONAL;
    char *values = o->arg ? values_of(v, o, &list) : NULL;
    buffer_print(&b, "--%s%s[", o->name, !o->arg ? "" : optional ? "=-" : "=");
    for (const char *p = o->doc; *p; p++) {
        if (strchr("[]:\\", *p))
            buffer_put(&b, "\\");
        buffer_add(&b, p, 1);
    }
    buffer_put(&b, "]");
    if (o->arg)
        buffer_print(&b, "%s:%s:", optional ? ":" : "", o->arg);
    if (values && list)
        buffer_print(&b, "_values -s , value %s", values);
    else if (values)
        buffer_print(&b, "(%s)", values);
    else if (names_folder(o))
        buffer_put(&b, "_files -/");
    else if (names_file(o))
        buffer_put(&b, "_files");
    buffer_put(&script.out, " \\\n          ");
    put_quoted(&script.out, b.text);
    free(values);
    free(buffer_take(&b));
}

static void listen(const struct settings_verb *v, const struct argp_option *o)
{
    for (; o->name || o->doc; o++) {
        if (!o->name || (o->flags & OPTION_HIDDEN))
            continue;
        if (script.zsh)
            put_zsh_option(v, o);
        else
            put_bash_option(v, o);
    }
}

static bool offered(size_t i)
{
    return options_unfinished || (verbs[i].run != cli_scan && verbs[i].run != cli_bisect);
}

/* The others pass on what follows them. */
static bool parses(size_t i)
{
    return verbs[i].run != cli_cc && verbs[i].run != cli_cxx;
}

static void hear(size_t i)
{
    char name[16], *argv[] = {name, NULL};
    snprintf(name, sizeof name, "%s", verbs[i].name);
    settings_listener = listen;
    verbs[i].run(1, argv);
    settings_listener = NULL;
}

static void put_pages(void)
{
    for (size_t i = 0; i < explain_page_count; i++)
        buffer_print(&script.out, "%s%s", i ? " " : "", explain_pages[i].name);
}

static const char bash_begin[] =
    "# Completion of snarl for bash; made by `snarl completion bash`.\n"
    "_snarl_words() { COMPREPLY=($(compgen -W \"$1\" -- \"$cur\")); }\n"
    "_snarl_list()\n{\n    local before=\n    [[ $cur == *,* ]] && before=${cur%,*},\n"
    "    COMPREPLY=($(compgen -P \"$before\" -W \"$1\" -- \"${cur##*,}\"))\n    compopt -o nospace 2>/dev/null\n}\n"
    "_snarl_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); }\n"
    "_snarl_folders() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- \"$cur\"); }\n\n"
    "_snarl_value()\n{\n    case $1 in\n";

/* The names of all verbs stand between these two; readline splits words at "=". */
static const char bash_verbs[] =
    "    esac\n}\n\n_snarl()\n{\n"
    "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} verb=${COMP_WORDS[1]} names i\n"
    "    COMPREPLY=()\n    if ((COMP_CWORD == 1)); then\n        _snarl_words '";
static const char bash_line[] =
    "--help --version'\n        return\n    fi\n"
    "    if [[ $cur == = && $prev == --* ]]; then\n        cur=\n        _snarl_value \"$verb$prev\"\n        return\n "
    "   fi\n"
    "    if [[ $prev == = && ${COMP_WORDS[COMP_CWORD - 2]} == --* ]]; then\n"
    "        _snarl_value \"$verb${COMP_WORDS[COMP_CWORD - 2]}\"\n        return\n    fi\n"
    "    if [[ $verb == run || $verb == cc || $verb == c++ ]]; then # from PROGRAM on it is the program's line\n"
    "        for ((i = 2; i < COMP_CWORD; i++)); do\n"
    "            [[ ${COMP_WORDS[i]} == = ]] && { ((i++)); continue; }\n"
    "            [[ ${COMP_WORDS[i]} == -- ]] && { ((i++)); break; }\n"
    "            [[ ${COMP_WORDS[i]} == -* ]] || break\n        done\n"
    "        if ((i < COMP_CWORD)) && declare -F _command_offset >/dev/null; then\n"
    "            _command_offset \"$i\"\n            return\n        fi\n"
    "        if [[ $cur != -* || $prev == -- ]]; then\n            compopt -o filenames 2>/dev/null\n"
    "            mapfile -t COMPREPLY < <(((i < COMP_CWORD)) || compgen -c -- \"$cur\"; compgen -f -- \"$cur\")\n"
    "            return\n        fi\n    fi\n    if [[ $cur == -* ]]; then\n        case $verb in\n";
/* Between the options of each verb and the pages of explain. */
static const char bash_pages[] = "        esac\n        _snarl_words \"$names\"\n        [[ ${COMPREPLY[*]} == *= ]] "
                                 "&& compopt -o nospace 2>/dev/null\n"
                                 "        return\n    fi\n    case $verb in\n    explain) _snarl_words '";
static const char bash_end[] =
    "' ;;\n    completion) _snarl_words 'bash zsh' ;;\n    *) _snarl_files ;;\n    esac\n}\ncomplete -F _snarl snarl\n";

static void bash_script(void)
{
    struct buffer verbs_with = {0};
    buffer_put(&script.out, bash_begin);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (!offered(i) || !parses(i))
            continue;
        script.names = (struct buffer){0};
        hear(i);
        char *names = buffer_take(&script.names);
        buffer_print(&verbs_with, "        %s) names='%s' ;;\n", verbs[i].name, names);
        free(names);
    }
    buffer_put(&script.out, bash_verbs);
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (offered(i))
            buffer_print(&script.out, "%s ", verbs[i].name);
    buffer_put(&script.out, bash_line);
    char *cases = buffer_take(&verbs_with);
    buffer_put(&script.out, cases);
    free(cases);
    buffer_put(&script.out, bash_pages);
    put_pages();
    buffer_put(&script.out, bash_end);
}

static void zsh_script(void)
{
    buffer_put(&script.out,
               "#compdef snarl\n# Completion of snarl for zsh; made by `snarl completion zsh`.\n_snarl()\n{\n"
               "    local -a commands\n    commands=(\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (!offered(i))
            continue;
        struct buffer b = {0};
        buffer_print(&b, "%s:%s", verbs[i].name, verbs[i].text);
        buffer_put(&script.out, "        ");
        put_quoted(&script.out, b.text);
        buffer_put(&script.out, "\n");
        free(buffer_take(&b));
    }
    buffer_put(&script.out,
               "    )\n    if ((CURRENT == 2)); then\n        _describe command commands\n        return\n    fi\n"
               "    local verb=$words[2]\n    shift words\n    ((CURRENT--))\n    case $verb in\n");
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        const char *name = verbs[i].name;
        if (!offered(i))
            continue;
        if (!parses(i)) {
            buffer_print(&script.out, "    %s) _files ;;\n", name);
            continue;
        }
        buffer_print(&script.out, "    %s) _arguments -S", name);
        hear(i);
        buffer_put(&script.out, " \\\n          ");
        if (strcmp(name, "run") == 0) {
            buffer_put(&script.out, "'*::program:_normal'");
        } else if (strcmp(name, "explain") == 0) {
            buffer_put(&script.out, "'*:kind:(");
            put_pages();
            buffer_put(&script.out, ")'");
        } else {
            buffer_put(&script.out, strcmp(name, "completion") == 0 ? "'*:shell:(bash zsh)'" : "'*:file:_files'");
        }
        buffer_put(&script.out, " ;;\n");
    }
    buffer_put(&script.out, "    esac\n}\n_snarl \"$@\"\n");
}

int cli_completion(int argc, char **argv)
{
    static const char *const shells[] = {"bash", "zsh"};
    struct settings s;
    int status;
    if (settings_parse(&s, &verb, argc, argv, &status))
        return status;
    const char *shell = argv[s.first];
    script.zsh = strcmp(shell, "zsh") == 0;
    if (!script.zsh && strcmp(shell, "bash") != 0) {
        cli_unknown("shell", shell, shells, ARRAY_LEN(shells));
        return STATUS_USAGE;
    }
    if (script.zsh)
        zsh_script();
    else
        bash_script();
    char *text = buffer_take(&script.out);
    bool good = write_file("-", text, strlen(text)) == 0;
    free(text);
    return good ? 0 : STATUS_TROUBLE;
}
