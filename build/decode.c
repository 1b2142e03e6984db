/* SPDX-License-Identifier: MIT */
/*
 * The decode-table compiler: reads a pattern file, writes C that #include-ing code uses.
 * Grammar (HACKING.md has the long form), one directive a line, '#' starts a comment:
 *
 *   unit 32                                  bits in a unit: 16, 32, 48 or 64
 *   field imm_b 31:31s 7:7 30:25 11:8 <<1    pieces from the top; 's' sign-extends; <<N, then +N
 *   format b    rs1 rs2 imm=imm_b            arguments: name, name=field or name=NUMBER
 *   beq  ....... ..... ..... 000 ..... 1100011  b  [more arguments, which replace or add]
 *
 * Output: an argument struct a format, one extraction function a field, and
 * bool PREFIX_decode(CTX *ctx, uintNN_t insn), nested switches that call
 * trans_NAME(ctx, &args). Patterns may overlap only if one fixes all bits of the other
 * and more; that one is tried first, and when its trans_ returns false, the other.
 *
 * Structs are identified by their set of arguments (struct DecodeArgs_imm_rd_rs1), so two
 * files included in one place share them, and formats with the same set are one type.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PIECES = 16, MAX_ARGS = 16, MAX_WORDS = 80, MAX_NAME = 64, MAX_LINE = 1024 };

typedef struct {
    int hi, lo;
} Piece;

typedef struct {
    char name[MAX_NAME];
    int line;
    int n;
    Piece piece[MAX_PIECES];
    bool is_signed, used;
    int shift, width; /* width: with the shift and the addition, without the sign */
    long add;
} Field;

typedef struct {
    char name[MAX_NAME];
    int field; /* index, or -1: the constant */
    int64_t number;
} Arg;

typedef struct {
    int n;
    Arg arg[MAX_ARGS]; /* sorted by name */
} Args;

typedef struct {
    char name[MAX_NAME];
    int line;
    bool used;
    Args args;
} Format;

typedef struct {
    char name[MAX_NAME];
    int line, format;
    uint64_t mask, value;
    Args args;
    char type[MAX_NAME * 2];
} Pattern;

static struct {
    const char *path, *prefix, *ctx, *out_path;
    int line, unit;
    Field *fields;
    Format *formats;
    Pattern *patterns;
    int n_fields, n_formats, n_patterns;
    FILE *out;
} g;

static void die_at(int line, const char *fmt, ...)
{
    va_list ap;
    fprintf(stderr, "%s:%d: ", g.path, line);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

/* One more zeroed element at the end of an array. */
static void *grow(void *array, int *n, size_t size)
{
    char *p = realloc(array, (size_t)(*n + 1) * size);
    if (!p) {
        fprintf(stderr, "decode: out of memory\n");
        exit(1);
    }
    memset(p + (size_t)*n * size, 0, size);
    ++*n;
    return p;
}

/* ---- reading */

static bool is_name(const char *s)
{
    if (!isalpha((unsigned char)*s) && *s != '_')
        return false;
    for (; *s; s++)
        if (!isalnum((unsigned char)*s) && *s != '_')
            return false;
    return true;
}

static void set_name(char *to, const char *from, const char *what)
{
    if (!is_name(from))
        die_at(g.line, "%s name '%s' is not an identifier", what, from);
    if (strlen(from) >= MAX_NAME)
        die_at(g.line, "%s name '%s' is too long", what, from);
    strcpy(to, from);
}

static bool parse_number(const char *s, int64_t *value)
{
    char *end;
    errno = 0;
    *value = strtoll(s, &end, 0);
    return end != s && !*end && !errno;
}

static int find_field(const char *name)
{
    for (int i = 0; i < g.n_fields; i++)
        if (!strcmp(g.fields[i].name, name))
            return i;
    return -1;
}

static int find_format(const char *name)
{
    for (int i = 0; i < g.n_formats; i++)
        if (!strcmp(g.formats[i].name, name))
            return i;
    return -1;
}

static void read_piece(Field *f, const char *word)
{
    int hi, lo, used = 0;
    if (sscanf(word, "%d:%d%n", &hi, &lo, &used) != 2)
        die_at(g.line, "'%s' is not a piece (hi:lo, hi:lo and s, <<N or +N)", word);
    if (!strcmp(word + used, "s")) {
        if (f->n)
            die_at(g.line, "'%s': only the first piece can be signed", word);
        f->is_signed = true;
    } else if (word[used]) {
        die_at(g.line, "'%s' is not a piece (hi:lo, hi:lo and s, <<N or +N)", word);
    }
    if (hi < lo)
        die_at(g.line, "'%s': the high bit stands first", word);
    if (lo < 0 || hi >= g.unit)
        die_at(g.line, "'%s' lies outside a unit of %d bits", word, g.unit);
    if (f->n == MAX_PIECES)
        die_at(g.line, "more than %d pieces", MAX_PIECES);
    f->piece[f->n++] = (Piece){ hi, lo };
    f->width += hi - lo + 1;
}

static void need_unit(void)
{
    if (!g.unit)
        die_at(g.line, "'unit N' must stand before this line");
}

static void read_field(char **word, int n)
{
    need_unit();
    if (n < 3)
        die_at(g.line, "field NAME hi:lo...");
    int old = find_field(word[1]);
    if (old >= 0)
        die_at(g.line, "field '%s' is already defined at line %d", word[1], g.fields[old].line);
    g.fields = grow(g.fields, &g.n_fields, sizeof *g.fields);
    Field *f = &g.fields[g.n_fields - 1];
    set_name(f->name, word[1], "field");
    f->line = g.line;
    bool shifted = false, added = false;
    for (int i = 2; i < n; i++) {
        int64_t v;
        if (!strncmp(word[i], "<<", 2)) {
            if (!parse_number(word[i] + 2, &v) || v < 0 || v > 63 || shifted || added || !f->n)
                die_at(g.line, "'%s': a shift of 0 to 63 stands once, after the pieces", word[i]);
            f->shift = (int)v;
            shifted = true;
        } else if (*word[i] == '+') {
            if (!parse_number(word[i] + 1, &v) || v < 0 || v > INT32_MAX || added || !f->n)
                die_at(g.line, "'%s': a small number to add stands once, at the end", word[i]);
            f->add = (long)v;
            added = true;
        } else if (shifted || added) {
            die_at(g.line, "'%s' stands after the shift or addition", word[i]);
        } else {
            read_piece(f, word[i]);
        }
    }
    f->width += f->shift;
    if (f->width > 64)
        die_at(g.line, "field '%s' is %d bits wide", f->name, f->width);
}

/* Adds or replaces one argument, keeping the names sorted. */
static void set_arg(Args *args, const char *word, bool may_replace)
{
    char name[MAX_LINE];
    Arg arg = { .field = -1 };
    snprintf(name, sizeof name, "%s", word);
    char *equals = strchr(name, '=');
    if (equals)
        *equals = 0;
    const char *what = equals ? equals + 1 : name;
    set_name(arg.name, name, "argument");
    if (!equals || !parse_number(what, &arg.number)) {
        arg.field = find_field(what);
        if (arg.field < 0)
            die_at(g.line, "'%s' is neither a number nor a field", what);
        g.fields[arg.field].used = true;
    } else if (arg.number < INT32_MIN || arg.number > UINT32_MAX) {
        die_at(g.line, "'%s' does not fit in 32 bits", what);
    }
    int at = 0;
    while (at < args->n && strcmp(args->arg[at].name, name) < 0)
        at++;
    if (at < args->n && !strcmp(args->arg[at].name, name)) {
        if (!may_replace)
            die_at(g.line, "argument '%s' is given twice", name);
        args->arg[at] = arg;
        return;
    }
    if (args->n == MAX_ARGS)
        die_at(g.line, "more than %d arguments", MAX_ARGS);
    memmove(&args->arg[at + 1], &args->arg[at], (size_t)(args->n - at) * sizeof arg);
    args->arg[at] = arg;
    args->n++;
}

static void read_format(char **word, int n)
{
    need_unit();
    if (n < 2)
        die_at(g.line, "format NAME argument...");
    int old = find_format(word[1]);
    if (old >= 0)
        die_at(g.line, "format '%s' is already defined at line %d", word[1], g.formats[old].line);
    g.formats = grow(g.formats, &g.n_formats, sizeof *g.formats);
    Format *f = &g.formats[g.n_formats - 1];
    set_name(f->name, word[1], "format");
    f->line = g.line;
    for (int i = 2; i < n; i++)
        set_arg(&f->args, word[i], false);
}

static bool is_bits(const char *s)
{
    return s[strspn(s, "01.")] == 0;
}

static void read_pattern(char **word, int n)
{
    need_unit();
    Pattern p = { .line = g.line };
    int i = 1, bits = 0;
    set_name(p.name, word[0], "instruction");
    for (; i < n && is_bits(word[i]); i++) {
        for (const char *c = word[i]; *c; c++, bits++) {
            p.mask = p.mask << 1 | (*c != '.');
            p.value = p.value << 1 | (*c == '1');
        }
    }
    if (bits != g.unit)
        die_at(g.line, "'%s' has %d bits, a unit has %d", p.name, bits, g.unit);
    if (!p.mask)
        die_at(g.line, "'%s' fixes no bit", p.name);
    if (i == n)
        die_at(g.line, "'%s' names no format", p.name);
    p.format = find_format(word[i]);
    if (p.format < 0)
        die_at(g.line, "unknown format or stray word '%s'", word[i]);
    g.formats[p.format].used = true;
    p.args = g.formats[p.format].args;
    Args given = { 0 };
    for (i++; i < n; i++) {
        set_arg(&given, word[i], false);
        set_arg(&p.args, word[i], true);
    }
    g.patterns = grow(g.patterns, &g.n_patterns, sizeof *g.patterns);
    g.patterns[g.n_patterns - 1] = p;
}

static void read_unit(char **word, int n)
{
    int64_t v = 0;
    if (g.unit)
        die_at(g.line, "unit is given twice");
    if (n != 2 || !parse_number(word[1], &v) || (v != 16 && v != 32 && v != 48 && v != 64))
        die_at(g.line, "unit 16, 32, 48 or 64");
    g.unit = (int)v;
}

static void read_file(void)
{
    char text[MAX_LINE];
    FILE *in = fopen(g.path, "r");
    if (!in) {
        fprintf(stderr, "%s: %s\n", g.path, strerror(errno));
        exit(1);
    }
    while (fgets(text, sizeof text, in)) {
        char *word[MAX_WORDS];
        int n = 0;
        g.line++;
        if (!strchr(text, '\n') && !feof(in))
            die_at(g.line, "line longer than %d bytes", MAX_LINE - 2);
        text[strcspn(text, "#")] = 0;
        for (char *w = strtok(text, " \t\r\n"); w; w = strtok(NULL, " \t\r\n")) {
            if (n == MAX_WORDS)
                die_at(g.line, "more than %d words", MAX_WORDS);
            word[n++] = w;
        }
        if (!n)
            continue;
        if (!strcmp(word[0], "unit"))
            read_unit(word, n);
        else if (!strcmp(word[0], "field"))
            read_field(word, n);
        else if (!strcmp(word[0], "format"))
            read_format(word, n);
        else
            read_pattern(word, n);
    }
    fclose(in);
}

/* ---- checking */

/* Arguments are int32_t unless the field needs more. */
static bool is_wide(const Arg *a)
{
    return a->field >= 0 && g.fields[a->field].width > 32;
}

static bool same_set(const Args *a, const Args *b)
{
    if (a->n != b->n)
        return false;
    for (int i = 0; i < a->n; i++)
        if (strcmp(a->arg[i].name, b->arg[i].name) || is_wide(&a->arg[i]) != is_wide(&b->arg[i]))
            return false;
    return true;
}

static void check_pair(const Pattern *p, const Pattern *q)
{
    if (!strcmp(p->name, q->name) && !same_set(&p->args, &q->args))
        die_at(q->line, "'%s' has other arguments than at line %d", q->name, p->line);
    uint64_t both = p->mask & q->mask;
    if ((p->value ^ q->value) & both)
        return;
    if (p->mask == q->mask)
        die_at(q->line, "'%s' has the same bits as '%s' at line %d", q->name, p->name, p->line);
    if (both != p->mask && both != q->mask)
        die_at(q->line, "'%s' overlaps '%s' at line %d, and neither fixes all bits of the other",
               q->name, p->name, p->line);
}

static void check(void)
{
    if (!g.n_patterns)
        die_at(g.line, "no instructions");
    for (int i = 0; i < g.n_fields; i++)
        if (!g.fields[i].used)
            die_at(g.fields[i].line, "field '%s' is not used", g.fields[i].name);
    for (int i = 0; i < g.n_formats; i++)
        if (!g.formats[i].used)
            die_at(g.formats[i].line, "format '%s' is not used", g.formats[i].name);
    for (int i = 0; i < g.n_patterns; i++)
        for (int j = 0; j < i; j++)
            check_pair(&g.patterns[j], &g.patterns[i]);
}

/* ---- writing */

static void emit(int depth, const char *fmt, ...)
{
    va_list ap;
    fprintf(g.out, "%*s", depth * 4, "");
    va_start(ap, fmt);
    vfprintf(g.out, fmt, ap);
    va_end(ap);
    fputc('\n', g.out);
}

/* r_shift -> ArgsRShift */
static void type_name(char *to, const char *name)
{
    bool upper = true;
    to += sprintf(to, "Args");
    for (; *name; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        *to++ = upper ? (char)toupper((unsigned char)*name) : *name;
        upper = false;
    }
    *to = 0;
}

static void emit_struct(const Args *args, const char *type)
{
    char tag[MAX_ARGS * (MAX_NAME + 4) + 32];
    char *p = tag + sprintf(tag, "DecodeArgs");
    for (int i = 0; i < args->n; i++)
        p += sprintf(p, "_%s%s", args->arg[i].name, is_wide(&args->arg[i]) ? "_64" : "");
    emit(0, "#ifndef HAVE_%s", tag);
    emit(0, "#define HAVE_%s", tag);
    emit(0, "struct %s {", tag);
    for (int i = 0; i < args->n; i++)
        emit(1, "%s %s;", is_wide(&args->arg[i]) ? "int64_t" : "int32_t", args->arg[i].name);
    if (!args->n)
        emit(1, "char none;");
    emit(0, "};");
    emit(0, "#endif");
    emit(0, "typedef struct %s %s;\n", tag, type);
}

/* A struct a used format; a line that adds arguments takes a format with the same set,
 * or gets a type named after its instruction. */
static void emit_types(void)
{
    for (int i = 0; i < g.n_formats; i++) {
        char type[MAX_NAME * 2];
        type_name(type, g.formats[i].name);
        emit_struct(&g.formats[i].args, type);
    }
    for (int i = 0; i < g.n_patterns; i++) {
        Pattern *p = &g.patterns[i];
        int same = same_set(&p->args, &g.formats[p->format].args) ? p->format : -1;
        for (int f = 0; f < g.n_formats && same < 0; f++)
            if (same_set(&p->args, &g.formats[f].args))
                same = f;
        for (int j = 0; j < i && !*p->type; j++)
            if (!strcmp(g.patterns[j].name, p->name))
                strcpy(p->type, g.patterns[j].type);
        if (*p->type)
            continue;
        type_name(p->type, same >= 0 ? g.formats[same].name : p->name);
        if (same < 0)
            emit_struct(&p->args, p->type);
    }
}

static bool first_of_name(int i)
{
    for (int j = 0; j < i; j++)
        if (!strcmp(g.patterns[j].name, g.patterns[i].name))
            return false;
    return true;
}

static void emit_prototypes(void)
{
    emit(0, "#ifdef DECODE_EXTERN");
    for (int i = 0; i < g.n_patterns; i++)
        if (first_of_name(i))
            emit(0, "bool trans_%s(%s *ctx, const %s *a);", g.patterns[i].name, g.ctx,
                 g.patterns[i].type);
    emit(0, "#elif !defined(DECODE_TYPES_ONLY)");
    for (int i = 0; i < g.n_patterns; i++)
        if (first_of_name(i))
            emit(0, "static bool trans_%s(%s *ctx, const %s *a);", g.patterns[i].name, g.ctx,
                 g.patterns[i].type);
    emit(0, "#endif\n");
}

static void emit_field(const Field *f)
{
    bool wide = f->width > 32;
    emit(0, "static inline %s %s_field_%s(uint64_t insn)", wide ? "int64_t" : "int32_t", g.prefix,
         f->name);
    emit(0, "{");
    int below = f->width - f->shift;
    for (int i = 0; i < f->n; i++) {
        int width = f->piece[i].hi - f->piece[i].lo + 1;
        below -= width;
        const char *start = i ? "v |= " : "uint64_t v = ";
        if (i == 0 && f->is_signed)
            emit(1, "%s(uint64_t)((int64_t)(insn << %d) >> %d) << %d;", start,
                 63 - f->piece[i].hi, 64 - width, below);
        else
            emit(1, "%s(insn >> %d & UINT64_C(0x%" PRIx64 ")) << %d;", start, f->piece[i].lo,
                 width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1, below);
    }
    emit(1, "return (%s)((v << %d) + %ld);", wide ? "int64_t" : "int32_t", f->shift, f->add);
    emit(0, "}\n");
}

static void emit_call(int depth, const Pattern *p)
{
    emit(depth, "{ /* %s:%d */", g.path, p->line);
    emit(depth + 1, "const %s a = {", p->type);
    for (int i = 0; i < p->args.n; i++) {
        const Arg *a = &p->args.arg[i];
        if (a->field >= 0)
            emit(depth + 2, ".%s = %s_field_%s(insn),", a->name, g.prefix, g.fields[a->field].name);
        else
            emit(depth + 2, ".%s = (int32_t)%" PRId64 ",", a->name, a->number);
    }
    if (!p->args.n)
        emit(depth + 2, ".none = 0,");
    emit(depth + 1, "};");
    emit(depth + 1, "if (trans_%s(ctx, &a))", p->name);
    emit(depth + 2, "return true;");
    emit(depth, "}");
}

static uint64_t sort_bits; /* what by_value compares under */

static int by_value(const void *a, const void *b)
{
    const Pattern *const *p = a, *const *q = b;
    uint64_t x = (*p)->value & sort_bits, y = (*q)->value & sort_bits;
    if (x != y)
        return x < y ? -1 : 1;
    return (*p)->line - (*q)->line;
}

/*
 * Writes code that tries the n patterns of set, all of which fix the bits `done`, which
 * have been compared. Bits that all fix beyond these become a switch. Where there are
 * none, the patterns that fix the most popular bit go first and the others follow: a
 * pattern that overlaps one of the first group and is more specific fixes that bit too,
 * so it is in the first group. Control falls out of every switch when nothing matched.
 */
static void emit_tree(int depth, Pattern **set, int n, uint64_t done)
{
    uint64_t common = UINT64_MAX;
    for (int i = 0; i < n; i++)
        common &= set[i]->mask;
    common &= ~done;
    if (n == 1) {
        if (common) {
            emit(depth, "if ((insn & UINT64_C(0x%" PRIx64 ")) == UINT64_C(0x%" PRIx64 "))", common,
                 set[0]->value & common);
        }
        emit_call(depth, set[0]);
        return;
    }
    if (common) {
        sort_bits = common;
        qsort(set, (size_t)n, sizeof *set, by_value);
        emit(depth, "switch (insn & UINT64_C(0x%" PRIx64 ")) {", common);
        for (int i = 0, j; i < n; i = j) {
            uint64_t value = set[i]->value & common;
            for (j = i + 1; j < n && (set[j]->value & common) == value; j++)
                ;
            emit(depth, "case UINT64_C(0x%" PRIx64 "):", value);
            emit_tree(depth + 1, set + i, j - i, done | common);
            emit(depth + 1, "break;");
        }
        emit(depth, "}");
        return;
    }
    int best = -1, most = 0;
    for (int bit = 0; bit < g.unit; bit++) {
        int count = 0;
        for (int i = 0; i < n; i++)
            count += (set[i]->mask & ~done) >> bit & 1;
        if (count > most) {
            most = count;
            best = bit;
        }
    }
    Pattern **split = calloc((size_t)n, sizeof *split);
    if (!split) {
        fprintf(stderr, "decode: out of memory\n");
        exit(1);
    }
    int k = 0, rest = most;
    for (int i = 0; i < n; i++)
        split[set[i]->mask >> best & 1 ? k++ : rest++] = set[i];
    emit_tree(depth, split, most, done);
    emit_tree(depth, split + most, n - most, done);
    free(split);
}

static void write_file(void)
{
    char tmp[4096];
    if (snprintf(tmp, sizeof tmp, "%s.tmp%ld", g.out_path, (long)getpid()) >= (int)sizeof tmp) {
        fprintf(stderr, "decode: %s: name too long\n", g.out_path);
        exit(1);
    }
    g.out = fopen(tmp, "w");
    if (!g.out) {
        fprintf(stderr, "decode: %s: %s\n", tmp, strerror(errno));
        exit(1);
    }
    emit(0, "/* Made from %s by build/decode.c: change that file instead. */", g.path);
    emit(0, "#include <stdbool.h>\n#include <stdint.h>\n");
    emit(0, "/*\n * As it stands: types, prototypes of static trans_ functions, and the decoder.\n"
            " * With DECODE_EXTERN the trans_ functions are extern; with DECODE_TYPES_ONLY there\n"
            " * is no decoder, so that several files can hold them. trans_ returns false when\n"
            " * this is not its instruction after all.\n */");
    emit_types();
    emit_prototypes();
    emit(0, "#ifndef DECODE_TYPES_ONLY");
    for (int i = 0; i < g.n_fields; i++)
        emit_field(&g.fields[i]);
    emit(0, "/* True when an instruction was recognized and its trans_ function took it. */");
    emit(0, "static bool %s_decode(%s *ctx, uint%d_t insn)\n{", g.prefix, g.ctx,
         g.unit > 32 ? 64 : 32);
    Pattern **set = calloc((size_t)g.n_patterns, sizeof *set);
    if (!set) {
        fprintf(stderr, "decode: out of memory\n");
        exit(1);
    }
    for (int i = 0; i < g.n_patterns; i++)
        set[i] = &g.patterns[i];
    emit_tree(1, set, g.n_patterns, 0);
    free(set);
    emit(1, "return false;\n}\n#endif");
    if (fflush(g.out) || ferror(g.out) || fclose(g.out) || rename(tmp, g.out_path)) {
        fprintf(stderr, "decode: %s: %s\n", g.out_path, strerror(errno));
        unlink(tmp);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    g.prefix = "insn";
    g.ctx = "Ctx";
    for (int i = 1; i < argc; i++) {
        const char **value = !strcmp(argv[i], "--prefix") ? &g.prefix
                             : !strcmp(argv[i], "--ctx")  ? &g.ctx
                             : !strcmp(argv[i], "-o")     ? &g.out_path
                                                          : NULL;
        if (value && i + 1 < argc) {
            *value = argv[++i];
        } else if (!value && argv[i][0] != '-' && !g.path) {
            g.path = argv[i];
        } else {
            g.path = NULL;
            break;
        }
    }
    if (!g.path || !g.out_path) {
        fprintf(stderr, "usage: decode [--prefix NAME] [--ctx TYPE] -o OUT.inc IN.decode\n");
        return 2;
    }
    read_file();
    check();
    write_file();
    return 0;
}
