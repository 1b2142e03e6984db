/* SPDX-License-Identifier: MIT */
/*
 * The guest agent's protocol (QEMU's qemu-ga, whose reference manual has the commands): requests
 * {"execute": NAME, "arguments": {...}, "id": ANY} in a stream of bytes, answered one by one with
 * {"return": ...} or {"error": {"class", "desc"}}. Bytes in, bytes out: no transport here.
 *
 * Commands come in tables that say what arguments there are: an Agent checks them, runs the command
 * and writes the answer. guest-sync, guest-sync-delimited, guest-ping and guest-info are its own.
 *
 * One thread.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* ---- Commands ---------------------------------------------------------------- */

typedef enum {
    AGENT_INT,    /* of 64 bits, signed */
    AGENT_UINT,   /* of 64 bits; negative ones are taken modulo 2^64 */
    AGENT_BOOL,
    AGENT_STRING,
    AGENT_WORD,   /* a string out of words */
    AGENT_INT_OR_WORD, AGENT_BOOL_OR_WORD, /* agent_is_word tells which was given */
    AGENT_STRINGS, /* a list of strings */
    AGENT_OBJECTS, /* a list of objects of members */
} AgentType;

typedef struct AgentArg {
    const char *name; /* NULL ends a table */
    AgentType type;
    bool optional;
    const char *const *words;       /* of the kinds with words; NULL at the end */
    const char *either;             /* of AGENT_..._OR_WORD: what to call it in errors */
    const struct AgentArg *members; /* of AGENT_OBJECTS */
} AgentArg;

/* The errors' classes, codes of agent_error_quark. Errors of other domains are GenericError. */
typedef enum { AGENT_ERROR_GENERIC, AGENT_ERROR_COMMAND_NOT_FOUND } AgentErrorClass;
GQuark agent_error_quark(void);

typedef struct {
    const char *name;
    const AgentArg *args; /* NULL: none */
    /* Runs it: the value of "return", which the caller puts, or NULL with an error. args has been
     * checked, and is borrowed; it has all members that are not optional. Nothing to return:
     * agent_nothing(). */
    struct json_object *(*run)(void *opaque, struct json_object *args, GError **error);
    bool silent;  /* nothing is answered when it is done: the machine is about to go */
    bool frozen;  /* also while file systems are frozen */
    bool hidden;  /* an addition: not in guest-info, or hosts took us for what we are not */
} AgentCommand;

/* {} */
struct json_object *agent_nothing(void);

/* ---- Arguments: borrowed, of checked args ---------------------------------------- */

bool agent_has(struct json_object *args, const char *name);
int64_t agent_int(struct json_object *args, const char *name, int64_t def);
uint64_t agent_uint(struct json_object *args, const char *name, uint64_t def);
bool agent_bool(struct json_object *args, const char *name, bool def);
/* NULL: not given. Strings hold no NUL. */
const char *agent_string(struct json_object *args, const char *name);
/* The index in the argument's words. */
int agent_word(struct json_object *args, const char *name, const char *const *words, int def);
/* Of AGENT_..._OR_WORD: it is given, as a word. */
bool agent_is_word(struct json_object *args, const char *name);
/* NULL: not given. */
struct json_object *agent_list(struct json_object *args, const char *name);
/* A NULL-terminated copy of a list of strings; empty when not given. */
char **agent_strings(struct json_object *args, const char *name);
/* The bytes of a string in base64; NULL with an error. */
uint8_t *agent_base64(struct json_object *args, const char *name, size_t *len, GError **error);

/* Sets members. */
void agent_put_int(struct json_object *o, const char *name, int64_t value);
void agent_put_uint(struct json_object *o, const char *name, uint64_t value);
void agent_put_bool(struct json_object *o, const char *name, bool value);
/* NULL: the member is left out. What is no UTF-8 is made it. */
void agent_put_string(struct json_object *o, const char *name, const char *value);
void agent_put_base64(struct json_object *o, const char *name, const void *bytes, size_t len);

/* ---- The agent ------------------------------------------------------------------- */

typedef struct Agent Agent;

typedef struct {
    /* Bytes for the peer. They may be kept and sent later; a peer that takes none is the caller's
     * to deal with. */
    void (*reply)(void *opaque, const char *bytes, size_t len);
    void *reply_opaque;
    const AgentCommand *const *tables; /* each ends with a NULL name; NULL at the end */
    void *opaque;                      /* of run */
    const char *version;               /* of guest-info */
} AgentConfig;

/* config's members are kept, not copied. */
Agent *agent_new(const AgentConfig *config);
void agent_free(Agent *agent); /* NULL is fine */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Agent, agent_free)

void agent_feed(Agent *agent, const void *bytes, size_t len);
/* A new peer: what was begun is forgotten. */
void agent_reset(Agent *agent);

/* Blocks or allows a command; false: there is none of that name. */
bool agent_set_enabled(Agent *agent, const char *name, bool enabled);
bool agent_is_enabled(const Agent *agent, const char *name);
/* The nth command, NULL past the last. */
const AgentCommand *agent_command(const Agent *agent, unsigned n);
/* While set, only commands that are .frozen are run; others are answered that they are disabled. */
void agent_set_frozen(Agent *agent, bool frozen);
