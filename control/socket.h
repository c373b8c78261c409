/*
 * socket: the control socket: JSON-RPC 2.0, one message a line, over a Unix socket that file mode
 * and peer credentials guard. Never blocks; clients, lines and buffers are bounded. Control thread.
 */
#pragma once

#include <stddef.h>

struct daemon;
struct socket_server;

/* Listen where the daemon's configuration says. NULL: MESSAGE says why. */
struct socket_server *socket_open(struct daemon *daemon, char *message, size_t message_size);

void socket_close(struct socket_server *server);
