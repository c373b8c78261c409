#include "control/access_line.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>

_Static_assert(6 * ACCESS_TEXT_BYTES + 1500 <= ACCESS_LINE_BYTES, "any record fits");

struct line {
    char *text;
    size_t length;
};

static const char *const end_names[ACCESS_ENDS] = {
    [ACCESS_FINISHED] = "finished",
    [ACCESS_CLIENT_RESET] = "client-reset",
    [ACCESS_CLIENT_LOST] = "client-lost",
    [ACCESS_RESET] = "reset",
};

static const char *const role_names[ACCESS_ROLES] = {
    [ACCESS_NO_FLIGHT] = "none", [ACCESS_LEADER] = "leader",     [ACCESS_JOINED] = "joined",
    [ACCESS_OWN] = "own",        [ACCESS_DETACHED] = "detached",
};

static const char *const principal_names[ACCESS_PRINCIPALS] = {
    [ACCESS_NOBODY] = "none",
    [ACCESS_CREDENTIALS] = "credentials",
    [ACCESS_ADDRESS] = "address",
    [ACCESS_CROWD] = "crowd",
};

static const char *const text_names[ACCESS_TEXTS] = {
    [ACCESS_METHOD] = "method",
    [ACCESS_ROUTE] = "route",
    [ACCESS_AUTHORITY] = "authority",
    [ACCESS_PATH] = "path",
};

__attribute__((format(printf, 2, 3))) static void add(struct line *line, const char *format, ...)
{
    size_t room = ACCESS_LINE_BYTES - line->length;
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line->text + line->length, room, format, arguments);
    va_end(arguments);
    check(length >= 0 && (size_t)length < room);
    line->length += (size_t)length;
}

static void add_number(struct line *line, const char *name, uint64_t value)
{
    add(line, ",\"%s\":%" PRIu64, name, value);
}

/* A word of the program, or a name of the configuration: it needs no escape. Nothing for "". */
static void add_word(struct line *line, const char *name, const char *word)
{
    if (word[0] != '\0')
        add(line, ",\"%s\":\"%s\"", name, word);
}

/* How many bytes the UTF-8 sequence at the beginning has (RFC 3629 4); 0: it is none. */
static size_t sequence_length(struct bytes text)
{
    static const struct {
        uint8_t lead_low;
        uint8_t lead_high;
        uint8_t second_low;
        uint8_t second_high;
        uint8_t length;
    } forms[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    const uint8_t *at = text.data;
    for (size_t i = 0; i < array_count(forms); i++) {
        if (at[0] < forms[i].lead_low || at[0] > forms[i].lead_high)
            continue;
        if (text.length < forms[i].length || at[1] < forms[i].second_low ||
            at[1] > forms[i].second_high)
            return 0;
        for (size_t n = 2; n < forms[i].length; n++)
            if ((at[n] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

/* How many bytes from the beginning stand in a JSON text as they are; 0: the first one does not. */
static size_t plain_length(struct bytes text)
{
    uint8_t first = text.data[0];
    if (first < 0x20 || first == 0x7f || first == '"' || first == '\\')
        return 0;
    return first < 0x80 ? 1 : sequence_length(text);
}

static void add_bytes(struct line *line, struct bytes bytes)
{
    check(bytes.length < ACCESS_LINE_BYTES - line->length);
    memcpy(line->text + line->length, bytes.data, bytes.length);
    line->length += bytes.length;
}

/* What a peer sent, or free text of the configuration. */
static void add_quoted(struct line *line, const char *name, struct bytes text)
{
    size_t plain = 0; /* bytes that have not been added yet */
    add(line, ",\"%s\":\"", name);
    while (plain < text.length) {
        size_t more = plain_length(bytes_after(text, plain));
        plain += more;
        if (more > 0)
            continue;
        add_bytes(line, bytes_first(text, plain));
        add(line, "\\u%04x", text.data[plain]);
        text = bytes_after(text, plain + 1);
        plain = 0;
    }
    if (plain > 0)
        add_bytes(line, text);
    add(line, "\"");
}

/* RFC 3339, in UTC. */
static void add_time(struct line *line, uint64_t unix_ns)
{
    time_t seconds = (time_t)(unix_ns / CLOCK_S);
    struct tm parts;
    gmtime_r(&seconds, &parts);
    add(line, "{\"time\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06uZ\"", parts.tm_year + 1900,
        parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
        (unsigned)(unix_ns % CLOCK_S / 1000));
}

static void add_client(struct line *line, const struct access_record *record,
                       const struct access_names *names)
{
    char address[INET6_ADDRSTRLEN];
    add_number(line, "worker", names->worker);
    add_word(line, "client", ip_address_format(&record->client, address));
    add_number(line, "client_port", record->client_port);
    if (names->listener[0] != '\0')
        add_word(line, "listener", names->listener);
    else
        add(line, ",\"listener\":\"[%s]:%u\"", ip_address_format(&record->listener, address),
            record->listener_port);
}

static void add_request(struct line *line, const struct access_record *record)
{
    for (int i = 0; i < ACCESS_TEXTS; i++)
        add_quoted(line, text_names[i], access_text(record, (enum access_text)i));
    if (record->cut == 0)
        return;
    const char *comma = "";
    add(line, ",\"cut\":[");
    for (int i = 0; i < ACCESS_TEXTS; i++) {
        if ((record->cut >> i & 1) == 0)
            continue;
        add(line, "%s\"%s\"", comma, text_names[i]);
        comma = ",";
    }
    add(line, "]");
}

static void add_end(struct line *line, const struct access_record *record)
{
    add_number(line, "status", record->status);
    add_word(line, "end", end_names[record->end]);
    if (record->end == ACCESS_CLIENT_RESET || record->end == ACCESS_RESET)
        add_number(line, "code", record->code);
    add_word(line, "local", record->local);
    add_word(line, "failure", record->failure);
    add_number(line, "total_us", record->total_ns / CLOCK_US);
    if (record->status != 0)
        add_number(line, "first_byte_us", record->first_byte_ns / CLOCK_US);
    add_number(line, "bytes_in", record->bytes_in);
    add_number(line, "bytes_out", record->bytes_out);
}

/* As flight.list names it. */
static void add_flight_name(struct line *line, const char *name, struct flight_name flight)
{
    if (flight.flight != HANDLE_NONE)
        add(line, ",\"%s\":\"%u-%016" PRIx64 "\"", name, flight.worker, flight.flight);
}

static void add_flight(struct line *line, const struct access_record *record,
                       const struct access_names *names)
{
    const struct flight_story *story = &record->story;
    add_word(line, "role", role_names[record->role]);
    add_word(line, "alone", record->alone);
    add_flight_name(line, "flight", record->flight);
    add_flight_name(line, "detached_from", record->detached);
    if (record->role == ACCESS_JOINED) {
        add_number(line, "join_offset", record->joined_at_bytes);
        add_number(line, "replayed", record->replayed_bytes);
    }
    if (record->role == ACCESS_NO_FLIGHT)
        return;
    add_number(line, "attempts", story->attempts);
    add_word(line, "retried", story->retried);
    add_word(line, "region", names->region);
    if (names->backend[0] != '\0')
        add_quoted(line, "backend", bytes_text(names->backend));
    if (story->upstream_ns > 0)
        add_number(line, "upstream_us", story->upstream_ns / CLOCK_US);
}

size_t access_line(const struct access_record *record, const struct access_names *names, char *out)
{
    struct line line = {out, 0};
    add_time(&line, record->began_ns + (uint64_t)names->clock_ahead_ns);
    add_client(&line, record, names);
    add_request(&line, record);
    add_end(&line, record);
    add_flight(&line, record, names);
    add_word(&line, "principal_kind", principal_names[record->principal_kind]);
    if (record->principal_kind != ACCESS_NOBODY)
        add(&line, ",\"principal\":\"%016" PRIx64 "\"", record->principal);
    add(&line, "}\n");
    return line.length;
}
