#include "control/store_redis_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOCAL_PREFIX "unix:"

static bool parse_port(const char *text, uint16_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != '\0')
        return false;
    long port = strtol(text, NULL, 10);
    *out = htons((uint16_t)port);
    return port > 0 && port < 65536;
}

static bool make_local(const char *path, struct redis_address *out)
{
    struct sockaddr_un *local = (struct sockaddr_un *)&out->socket;
    if (path[0] != '/' || strlen(path) >= sizeof(local->sun_path))
        return false;
    local->sun_family = AF_UNIX;
    strcpy(local->sun_path, path);
    out->length = sizeof(*local);
    snprintf(out->text, sizeof(out->text), LOCAL_PREFIX "%s", path);
    return true;
}

static bool make_v4(const char *host, uint16_t port, struct redis_address *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->socket;
    if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
        return false;
    v4->sin_family = AF_INET;
    v4->sin_port = port;
    out->length = sizeof(*v4);
    snprintf(out->text, sizeof(out->text), "%s:%u", host, ntohs(port));
    return true;
}

static bool make_v6(const char *host, uint16_t port, struct redis_address *out)
{
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->socket;
    if (inet_pton(AF_INET6, host, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port;
    out->length = sizeof(*v6);
    snprintf(out->text, sizeof(out->text), "[%s]:%u", host, ntohs(port));
    return true;
}

bool redis_address_make(const char *host, const char *port, struct redis_address *out)
{
    uint16_t number;
    *out = (struct redis_address){0};
    return parse_port(port, &number) && (make_v4(host, number, out) || make_v6(host, number, out));
}

bool redis_address_parse(const char *text, struct redis_address *out)
{
    char host[INET6_ADDRSTRLEN];
    *out = (struct redis_address){0};
    if (strncmp(text, LOCAL_PREFIX, strlen(LOCAL_PREFIX)) == 0)
        return make_local(text + strlen(LOCAL_PREFIX), out);
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return false;
    bool brackets = text[0] == '[' && colon > text + 1 && colon[-1] == ']';
    size_t length = (size_t)(colon - text) - (brackets ? 2 : 0);
    if (length >= sizeof(host))
        return false;
    memcpy(host, text + brackets, length);
    host[length] = '\0';
    if (strcmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    bool is_v6 = strchr(host, ':') != NULL;
    return is_v6 == brackets && redis_address_make(host, colon + 1, out);
}

bool redis_address_equal(const struct redis_address *a, const struct redis_address *b)
{
    return strcmp(a->text, b->text) == 0;
}
