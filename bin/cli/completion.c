/* The completion of a program for bash, from the table that parses its command line.
 *
 * The script is data (which options there are, what each one's value is) and one function body that is the
 * same for all programs. Keys of the configuration come from `mf-config keys` when they are asked for. */
#include "cli/help.h"

#include <ctype.h>
#include <string.h>

/* What all programs' functions end with. `takes` maps an option to the kind of its value: file, folder, keys,
 * any, or the choices; `flags` are all options, `operand` is the kind of an operand. */
static const char body[] =
    "    # bash cuts words at '=': put this one together again, and find the word before it\n"
    "    local at=$COMP_CWORD word=${COMP_WORDS[COMP_CWORD]} option value lead='' kind found=()\n"
    "    while ((at > 1)) && [[ ${COMP_WORDS[at]} == '=' || ${COMP_WORDS[at - 1]} == '=' ]]; do\n"
    "        ((at--))\n"
    "        word=${COMP_WORDS[at]}$word\n"
    "    done\n"
    "    option=${COMP_WORDS[at - 1]} value=$word\n"
    "    if [[ $word == --*=* ]]; then\n"
    "        option=${word%%=*} value=${word#*=} lead=${word%%=*}=\n"
    "    fi\n"
    "    kind=${takes[$option]-}\n"
    "    if [[ -z $kind && $word == -* ]]; then\n"
    "        kind=$flags\n"
    "    elif [[ -z $kind ]] && ((at == 1)) && [[ $commands ]]; then\n"
    "        kind=$commands\n"
    "    fi\n"
    "    case ${kind:=$operand} in\n"
    "    any) ;;\n"
    "    file) mapfile -t found < <(compgen -f -- \"$value\") && compopt -o filenames 2> /dev/null ;;\n"
    "    folder) mapfile -t found < <(compgen -d -- \"$value\") && compopt -o filenames 2> /dev/null ;;\n"
    "    keys | key)\n"
    "        # mf-config beside the program, wherever it was called from\n"
    "        local keys line name='' choices=''\n"
    "        keys=$(\"${1%mf-*}mf-config\" keys 2> /dev/null)\n"
    "        if [[ $value == *=* ]]; then\n"
    "            lead+=${value%%=*}=\n"
    "            while IFS= read -r line; do\n"
    "                [[ $line == [a-z]* ]] && name=$line\n"
    "                [[ $name == \"${value%%=*}\" ]] || continue\n"
    "                [[ $line =~ ^' '+default.*'; '([a-z_]+('|'[a-z_]+)+)';' ]] && "
    "choices=${BASH_REMATCH[1]}\n"
    "            done <<< \"$keys\"\n"
    "            mapfile -t found < <(compgen -W \"${choices//|/ }\" -- \"${value#*=}\")\n"
    "        else\n"
    "            mapfile -t found < <(compgen -W \"$(grep '^[a-z]' <<< \"$keys\")\" -- \"$value\")\n"
    "            if [[ $kind == keys ]]; then\n"
    "                found=(\"${found[@]/%/=}\")\n"
    "                compopt -o nospace 2> /dev/null\n"
    "            fi\n"
    "        fi\n"
    "        ;;\n"
    "    *) mapfile -t found < <(compgen -W \"$kind\" -- \"$value\") ;;\n"
    "    esac\n"
    "    # what is before the last '=' stands on the line already, unless words are not cut there\n"
    "    [[ $COMP_WORDBREAKS == *=* ]] && lead=''\n"
    "    COMPREPLY=(\"${found[@]/#/$lead}\")\n"
    "}\n";

static const char *value_kind(const struct mf_option *o) {
    if (strcmp(o->argument, "FILE") == 0) return "file";
    if (strcmp(o->argument, "DIR") == 0) return "folder";
    if (strcmp(o->argument, "KEY=VALUE") == 0) return "keys";
    return "any";
}

/* "a|b" as "a b". */
static void put_choices(const char *choices, size_t size) {
    for (size_t i = 0; i < size; i++) putchar(choices[i] == '|' ? ' ' : choices[i]);
}

static void put_value(const struct mf_option *o) {
    if (o->kind != MF_OPT_CHOICE) {
        printf("%s", value_kind(o));
        return;
    }
    put_choices(o->argument, strlen(o->argument));
}

static void put_flags(const struct mf_option *options) {
    for (const struct mf_option *o = options; o && o->name; o++) {
        printf(" --%s", o->name);
        if (o->letter) printf(" -%c", o->letter);
    }
}

static void put_takes(const struct mf_option *options) {
    for (const struct mf_option *o = options; o && o->name; o++) {
        if (o->kind == MF_OPT_FLAG) continue;
        printf(" [--%s]='", o->name);
        put_value(o);
        printf("'");
        if (!o->letter) continue;
        printf(" [-%c]='", o->letter);
        put_value(o);
        printf("'");
    }
}

/* The kind of the first operand in a synopsis, or its choices: the first word of capitals that is no option's
 * value, or the first with '|' behind the program's name. */
static void put_operand(const char *synopsis) {
    bool is_value = false;
    const char *kind = "any";
    for (const char *at = synopsis; *at;) {
        at += strspn(at, " \n[(<");
        size_t n = strcspn(at, " \n");
        size_t name = strspn(at, "ABCDEFGHIJKLMNOPQRSTUVWXYZ.");
        if (at[0] != '-' && !is_value && memchr(at, '|', n)) {
            put_choices(at, n);
            return;
        }
        if (name > 1 && !is_value && strncmp(at, "OPTION", 6) != 0) {
            kind = strncmp(at, "DIR", name) == 0           ? "folder"
                   : strncmp(at, "SECTION.KEY", name) == 0 ? "key"
                                                           : "file";
            break;
        }
        is_value = at[0] == '-';
        at += n;
    }
    printf("%s", kind);
}

static void put_data(const char *indent, const struct mf_option *options, const struct mf_option *common,
                     const char *synopsis) {
    printf("%sflags+='", indent);
    put_flags(options);
    put_flags(common);
    printf("'\n%stakes+=(", indent);
    put_takes(options);
    put_takes(common);
    printf(" )\n%soperand='", indent);
    put_operand(synopsis);
    printf("'\n");
}

/* "_mf_train_shared" */
static void put_function(const char *program) {
    printf("_");
    for (const char *c = program; *c; c++) putchar(isalnum((unsigned char)*c) ? *c : '_');
}

static void put_head(const char *program) {
    printf("# Completion of %s for bash; made from the table that parses its options: %s --help=bash\n",
           program, program);
    put_function(program);
    printf("() {\n    local -A takes=()\n    local commands='' operand=any flags='");
    put_flags(mf_help_options);
    printf("'\n");
}

static void put_end(const char *program) {
    printf("%scomplete -F ", body);
    put_function(program);
    printf(" %s\n", program);
}

void mf_completion_print(enum mf_help_form form, const struct mf_usage *usage,
                         const struct mf_option *common) {
    if (form == MF_HELP_BASH_COMMAND) {
        const char *name = strchr(usage->program, ' ');
        printf("    %s)\n", name ? name + 1 : usage->program);
        put_data("        ", usage->options, common, usage->synopsis);
        printf("        ;;\n");
        return;
    }
    put_head(usage->program);
    put_data("    ", usage->options, common, usage->synopsis);
    put_end(usage->program);
}

int mf_completion_commands(const char *program, const struct mf_command *commands,
                           const struct mf_option *common) {
    put_head(program);
    printf("    commands='");
    for (const struct mf_command *c = commands; c->name; c++)
        printf("%s%s", c == commands ? "" : " ", c->name);
    printf("'\n    case ${COMP_WORDS[1]} in\n");
    int status = mf_help_ask(commands, MF_HELP_BASH_COMMAND);
    printf("    -*)\n");
    put_data("        ", NULL, common, "");
    printf("        ;;\n    esac\n");
    put_end(program);
    return status;
}
