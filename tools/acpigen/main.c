/* SPDX-License-Identifier: MIT */
/* acpigen: writes the ACPI and SMBIOS tables of a machine, without running it. */
#include "acpigen.h"

#include "base/error.h"

#include <signal.h>
#include <string.h>

static int diff(const Tool *tool)
{
    Set a, b;
    GError *error = NULL;
    int status = 0;
    set_init(&a);
    set_init(&b);
    if (!read_set(tool->sides[0], &a, &error) || !read_set(tool->sides[1], &b, &error)) {
        voice_error(&tool->voice, error);
        status = VOICE_MISUSED; /* 1 says that they differ */
    } else if (diff_sets(&a, &b)) {
        status = ACPIGEN_DIFFERENT;
    }
    set_clear(&a);
    set_clear(&b);
    return status;
}

static bool write_all(const Tool *tool, const Set *set, GError **error)
{
    if (tool->list)
        output_list(set);
    return (!tool->output || output_folder(tool, set, error)) &&
           (!tool->loader || output_loader(tool, set, error)) &&
           (!tool->blob || output_blob(tool, set, error)) &&
           (!tool->smbios_file || output_smbios(tool, set, error)) &&
           (!tool->aml || output_aml(tool, set, error)) &&
           (!tool->json || output_json(set, error)) &&
           (!tool->digest || output_digest(tool, set, error));
}

/* The lists that help texts offer. */
static bool lists(const Tool *tool)
{
    char *text = NULL;
    for (guint i = 0; i < tool->machine->len && !text; i++)
        if (!strcmp(g_ptr_array_index(tool->machine, i), "help"))
            text = boards_help();
    for (guint i = 0; i < tool->smbios->len && !text; i++)
        if (!strcmp(g_ptr_array_index(tool->smbios, i), "type=help"))
            text = smbios_options_help();
    if (tool->cpu && !text && !strcmp(tool->cpu, "help"))
        text = machine_cpu_help();
    for (guint i = 0; i < tool->device->len && !text; i++)
        if (!strcmp(g_ptr_array_index(tool->device, i), "help"))
            text = machine_described_help();
    if (text)
        fputs(text, stdout);
    g_free(text);
    return text != NULL;
}

static int generate(const Tool *tool)
{
    Set set;
    GError *error = NULL;
    if (lists(tool))
        return 0;
    if (!tool->output && !tool->loader && !tool->blob && !tool->smbios_file && !tool->aml &&
        !tool->json && !tool->digest && !tool->list)
        return voice_misused(&tool->voice, "nothing to write: -o DIR, --loader, --blob, --aml, --json, --digest...");
    if (tool->dsl && !tool->output)
        return voice_misused(&tool->voice, "--dsl needs -o DIR");
    set_init(&set);
    bool good = build_set(tool, &set, &error) && write_all(tool, &set, &error);
    set_clear(&set);
    return good ? 0 : voice_error(&tool->voice, error);
}

int main(int argc, char **argv)
{
    g_autofree char *name = g_path_get_basename(argc && argv[0] ? argv[0] : "acpigen");
    Tool tool = { .voice.name = name };
    signal(SIGPIPE, SIG_IGN);
    int status = tool_options(&tool, argc, argv);
    if (status < 0)
        status = tool.diff ? diff(&tool) : generate(&tool);
    tool_clear(&tool);
    if (fflush(stdout) || ferror(stdout)) {
        perror(name);
        return VOICE_FAILED;
    }
    return status;
}
