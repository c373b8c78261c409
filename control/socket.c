/*
 * socket: clients of the control socket: bytes in, lines to rpc, messages out.
 *
 * A client is pumped when its socket is ready, and by its timer when there is work left that no
 * event will announce: lines beyond those of one turn, and answers that came later. It is freed
 * only by pump(), never from inside a call. A client that asks faster than it reads its answers is
 * not read until it has caught up. When there are CLIENTS_MAX, one more takes the place of that
 * which has been silent for the longest time and waits for nothing.
 */
#include "control/socket.h"

#include "control/daemon.h"
#include "control/log.h"
#include "control/methods.h"
#include "dataplane/base/check.h"
#include "dataplane/base/list.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS_MAX        32
#define LINE_BYTES_MAX     (4u << 20) /* a configuration with the longest deny list */
#define READ_BYTES         65536
#define LINES_A_TURN       8
#define CALLS_MAX          16          /* under way, a client; a batch may exceed it */
#define OUTPUT_BYTES_PAUSE (1u << 20)  /* not read beyond this */
#define OUTPUT_BYTES_MAX   (64u << 20) /* a client that lets so much pile up is dropped */

struct output {
    struct list link;
    char *text;
    size_t length;
    size_t sent;
};

struct client {
    struct list link;
    struct socket_server *server;
    struct rpc_session session;
    int fd;
    struct loop_watch *watch;
    struct loop_timer *timer;
    uint32_t interest; /* what epoll was told */
    bool ended;        /* nothing more is read */
    bool broken;       /* and nothing more can be written */
    char *input;
    size_t input_begin; /* first byte that rpc has not seen */
    size_t input_end;
    size_t input_room;
    size_t searched; /* no '\n' before this; input_begin..input_end */
    struct list outputs;
    size_t output_bytes;
};

struct socket_server {
    struct daemon *daemon;
    struct methods *methods;
    int fd;
    struct loop_watch *watch;
    struct list clients; /* heard from the longest ago first */
    uint32_t client_count;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* Answers. */

static void wake(struct client *client)
{
    loop_timer_at(client->timer, loop_now_ns(daemon_loop(client->server->daemon)));
}

static void session_send(struct rpc_session *session, char *text, size_t length)
{
    struct client *client = container_of(session, struct client, session);
    struct output *output = calloc(1, sizeof(*output));
    check(output != NULL);
    *output = (struct output){.text = text, .length = length};
    list_push_back(&client->outputs, &output->link);
    client->output_bytes += length;
    if (client->output_bytes > OUTPUT_BYTES_MAX)
        client->broken = true;
    wake(client);
}

static void session_ended(struct rpc_session *session)
{
    wake(container_of(session, struct client, session));
}

static void free_output(struct client *client, struct output *output)
{
    list_remove(&output->link);
    client->output_bytes -= output->length;
    free(output->text);
    free(output);
}

static void write_outputs(struct client *client)
{
    while (!client->broken && !list_is_empty(&client->outputs)) {
        struct output *output = list_entry(client->outputs.next, struct output, link);
        ssize_t count = send(client->fd, output->text + output->sent, output->length - output->sent,
                             MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0) {
            client->broken = errno != EAGAIN && errno != EINTR;
            return;
        }
        output->sent += (size_t)count;
        if (output->sent == output->length)
            free_output(client, output);
    }
}

/* Requests. */

static bool is_paused(const struct client *client)
{
    return client->broken || client->session.call_count >= CALLS_MAX ||
           client->output_bytes > OUTPUT_BYTES_PAUSE;
}

/* The end of the first whole line, or NULL. */
static char *find_line_end(struct client *client)
{
    char *end = NULL;
    if (client->searched < client->input_end) /* else there may be no input at all */
        end = memchr(client->input + client->searched, '\n', client->input_end - client->searched);
    client->searched = end != NULL ? (size_t)(end - client->input) : client->input_end;
    return end;
}

static void take_line(struct client *client, const char *end)
{
    const char *begin = client->input + client->input_begin;
    rpc_line(&client->session, begin, (size_t)(end - begin));
    client->input_begin += (size_t)(end - begin) + 1;
    client->searched = client->input_begin;
}

static void refuse_long_line(struct client *client)
{
    rpc_complain(&client->session, RPC_INVALID_REQUEST, "a line of more than 4 MiB");
    client->ended = true;
    client->input_begin = client->input_end;
    client->searched = client->input_end;
}

/* Give whole lines to rpc. True: there are more, and they may be taken. */
static bool take_lines(struct client *client)
{
    char *end = NULL;
    for (uint32_t i = 0; i < LINES_A_TURN; i++) {
        if (is_paused(client))
            return false;
        end = find_line_end(client);
        if (end == NULL)
            break;
        take_line(client, end);
    }
    if (end == NULL && client->input_end - client->input_begin > LINE_BYTES_MAX)
        refuse_long_line(client);
    return end != NULL && !is_paused(client);
}

/* Room for READ_BYTES behind what is there. */
static bool make_room(struct client *client)
{
    size_t held = client->input_end - client->input_begin;
    if (client->input_begin > 0) {
        memmove(client->input, client->input + client->input_begin, held);
        client->searched -= client->input_begin;
        client->input_begin = 0;
        client->input_end = held;
    }
    if (client->input_room - held >= READ_BYTES)
        return true;
    size_t room =
        client->input_room * 2 > held + READ_BYTES ? client->input_room * 2 : held + READ_BYTES;
    char *input = realloc(client->input, room);
    if (input == NULL)
        return false;
    client->input = input;
    client->input_room = room;
    return true;
}

static void read_input(struct client *client)
{
    if (!make_room(client)) {
        client->broken = true;
        return;
    }
    ssize_t count = recv(client->fd, client->input + client->input_end, READ_BYTES, MSG_DONTWAIT);
    if (count > 0) {
        client->input_end += (size_t)count;
        list_remove(&client->link);
        list_push_back(&client->server->clients, &client->link);
    } else if (count == 0)
        client->ended = true; /* it may still read its answers */
    else if (errno != EAGAIN && errno != EINTR)
        client->broken = true;
}

/* Life of a client. */

static void close_client(struct client *client)
{
    rpc_session_end(&client->session);
    while (!list_is_empty(&client->outputs))
        free_output(client, list_entry(client->outputs.next, struct output, link));
    if (client->watch != NULL)
        loop_unwatch(client->watch);
    loop_timer_destroy(client->timer);
    list_remove(&client->link);
    client->server->client_count--;
    close(client->fd);
    free(client->input);
    free(client);
}

static bool is_over(const struct client *client, bool more)
{
    return client->broken || (client->ended && !more && client->session.call_count == 0 &&
                              list_is_empty(&client->outputs));
}

static void set_interest(struct client *client, bool more)
{
    uint32_t interest = 0;
    if (!client->ended && !more && !is_paused(client))
        interest |= EPOLLIN;
    if (!list_is_empty(&client->outputs))
        interest |= EPOLLOUT;
    if (interest != client->interest)
        loop_watch_events(client->watch, interest);
    client->interest = interest;
}

static void pump(struct client *client)
{
    write_outputs(client);
    bool more = take_lines(client);
    write_outputs(client);
    if (is_over(client, more)) {
        close_client(client);
        return;
    }
    set_interest(client, more);
    if (more)
        wake(client);
}

static void client_timer(void *context, uint64_t now_ns)
{
    pump(context);
}

static void client_ready(void *context, uint32_t events)
{
    struct client *client = context;
    bool readable = !client->ended && !is_paused(client);
    if (events & EPOLLERR || (events & EPOLLHUP && !readable))
        client->broken = true;
    else if (readable && (events & (EPOLLIN | EPOLLHUP)))
        read_input(client); /* what was asked before hanging up still counts */
    pump(client);
}

/* The login name of a user by the local file; name services may take their time. */
static void find_user(uid_t uid, char *out, size_t size)
{
    FILE *file = fopen("/etc/passwd", "re");
    struct passwd *entry;
    out[0] = '\0';
    while (file != NULL && (entry = fgetpwent(file)) != NULL)
        if (entry->pw_uid == uid) {
            snprintf(out, size, " %s", entry->pw_name);
            break;
        }
    if (file != NULL)
        fclose(file);
}

static void set_who(struct client *client)
{
    struct ucred peer = {0};
    socklen_t size = sizeof(peer);
    char user[40];
    if (getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
        snprintf(client->session.who, sizeof(client->session.who), "unknown");
        return;
    }
    find_user(peer.uid, user, sizeof(user));
    snprintf(client->session.who, sizeof(client->session.who), "uid=%u pid=%d%s", peer.uid,
             peer.pid, user);
}

/* A new client; NULL when there is no memory for it. */
static struct client *open_client(struct socket_server *server, int fd)
{
    struct loop *loop = daemon_loop(server->daemon);
    struct client *client = calloc(1, sizeof(*client));
    if (client == NULL) {
        close(fd);
        return NULL;
    }
    *client = (struct client){.server = server, .fd = fd, .interest = EPOLLIN};
    client->session.send = session_send;
    client->session.ended = session_ended;
    rpc_session_init(&client->session, server->methods);
    list_init(&client->outputs);
    list_push_back(&server->clients, &client->link);
    server->client_count++;
    set_who(client);
    client->timer = loop_timer(loop, client_timer, client);
    client->watch = loop_watch(loop, fd, EPOLLIN, client_ready, client);
    if (client->timer != NULL && client->watch != NULL)
        return client;
    close_client(client);
    return NULL;
}

static bool waits_for_nothing(const struct client *client)
{
    return client->session.call_count == 0 && list_is_empty(&client->outputs);
}

/* Whose place NEWCOMER may take, or NULL. */
static struct client *find_silent(struct socket_server *server, const struct client *newcomer)
{
    list_for_each (link, next, &server->clients) {
        struct client *client = list_entry(link, struct client, link);
        if (client != newcomer && waits_for_nothing(client))
            return client;
    }
    return NULL;
}

/* There are too many now that NEWCOMER is here: the most silent one goes, or else NEWCOMER. */
static void make_place(struct socket_server *server, struct client *newcomer)
{
    struct client *silent = find_silent(server, newcomer);
    log_line(LOG_LEVEL_WARNING, "control socket: more than %d clients: %s has to go", CLIENTS_MAX,
             silent != NULL ? silent->session.who : newcomer->session.who);
    if (silent != NULL) {
        close_client(silent);
        return;
    }
    rpc_complain(&newcomer->session, RPC_REFUSED,
                 "there are too many clients, and all of them wait for answers");
    newcomer->ended = true;
}

static void server_ready(void *context, uint32_t events)
{
    struct socket_server *server = context;
    int fd = accept4(server->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return;
    struct client *client = open_client(server, fd);
    if (client != NULL && server->client_count > CLIENTS_MAX)
        make_place(server, client);
}

/* Listening. */

/* Nobody answers at a path that a killed process left behind: take it away. */
static bool is_in_use(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool used = fd >= 0 && (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
                            errno == EAGAIN);
    if (fd >= 0)
        close(fd);
    return used;
}

/* /run/weir does not outlive a reboot: make the last folder of the path. */
static void make_folder(const char *path)
{
    char folder[sizeof(((struct sockaddr_un *)0)->sun_path)];
    snprintf(folder, sizeof(folder), "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL || slash == folder)
        return;
    *slash = '\0';
    (void)mkdir(folder, 0755); /* bind() tells what is wrong */
}

static bool bind_socket(struct socket_server *server, uint32_t mode)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat old;
    memcpy(address.sun_path, server->path, sizeof(address.sun_path));
    make_folder(server->path);
    if (is_in_use(&address)) {
        errno = EADDRINUSE;
        return false;
    }
    if (lstat(server->path, &old) == 0 && S_ISSOCK(old.st_mode))
        (void)unlink(server->path);
    mode_t before = umask(0777); /* nobody until the mode is set */
    int bound = bind(server->fd, (const struct sockaddr *)&address, sizeof(address));
    umask(before);
    return bound == 0 && chmod(server->path, (mode_t)mode) == 0 && listen(server->fd, 16) == 0;
}

static bool start_listening(struct socket_server *server)
{
    const struct config_control *control = &daemon_config(server->daemon)->control;
    snprintf(server->path, sizeof(server->path), "%s", control->socket);
    server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->fd < 0 || !bind_socket(server, control->mode))
        return false;
    server->watch =
        loop_watch(daemon_loop(server->daemon), server->fd, EPOLLIN, server_ready, server);
    return server->watch != NULL;
}

struct socket_server *socket_open(struct daemon *daemon, char *message, size_t message_size)
{
    struct socket_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        snprintf(message, message_size, "control.socket: no memory");
        return NULL;
    }
    *server = (struct socket_server){.daemon = daemon, .fd = -1};
    list_init(&server->clients);
    server->methods = methods_create(daemon, message, message_size);
    if (server->methods != NULL && start_listening(server))
        return server;
    if (server->methods != NULL)
        snprintf(message, message_size, "control.socket: %s: %s", server->path,
                 errno == EADDRINUSE ? "another process listens there" : strerror(errno));
    methods_destroy(server->methods);
    if (server->fd >= 0)
        close(server->fd);
    free(server);
    return NULL;
}

void socket_close(struct socket_server *server)
{
    if (server == NULL)
        return;
    while (!list_is_empty(&server->clients)) {
        struct client *client = list_entry(server->clients.next, struct client, link);
        write_outputs(client);
        close_client(client);
    }
    loop_unwatch(server->watch);
    close(server->fd);
    (void)unlink(server->path);
    methods_destroy(server->methods);
    free(server);
}
