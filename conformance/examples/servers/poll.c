/* A meta statistics server: one process, one poll for all connections.
 *
 * cc -O2 -o poll poll.c -lm && ./poll [PORT [META_PORT]] */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_CLIENTS = 1000,
    MAX_LINE = 1024,
    /* Three numbers of at most 317 bytes and the words between them. */
    MAX_REPLY = 1024,
    LINGER_SECONDS = 10, /* for a client that has its last line */
};

struct stats { long count; double sum, mean, squares; };

struct client {
    char in[MAX_LINE], out[8 * MAX_REPLY];
    size_t in_length, out_length;
    int too_long; /* the rest of this line is dropped */
    int ended;    /* nothing more is sent to this client, or read from it */
    time_t deadline; /* when a client that has its last line is given up; 0 before */
    struct stats stats;
};

static struct pollfd polled[2 + MAX_CLIENTS]; /* primary, secondary, clients */
static struct client *clients[2 + MAX_CLIENTS];
static int used = 2;
static struct stats means;

/* Welford's method */
static void add(struct stats *stats, double value)
{
    double distance = value - stats->mean;
    stats->count++;
    stats->sum += value;
    stats->mean += distance / stats->count;
    stats->squares += distance * (value - stats->mean);
}

static double stddev(const struct stats *stats)
{
    return stats->count < 2 ? 0 : sqrt(stats->squares / (stats->count - 1));
}

#define REPLY(client, ...) ((client)->out_length += \
    snprintf((client)->out + (client)->out_length, MAX_REPLY, __VA_ARGS__))

static void summary(struct client *client, const struct stats *stats)
{
    REPLY(client, "count: %ld, mean: %f, stddev: %f.\r\n",
          stats->count, stats->mean, stddev(stats));
    client->ended = 1;
}

static void process_line(struct client *client, const char *line, size_t length)
{
    struct stats *stats = &client->stats;
    char *end;
    double value;
    while (*line == ' ')
        line++, length--;
    value = strtod(line, &end);
    if (!strcmp(line, "count") && length == 5)
        REPLY(client, "%ld\r\n", stats->count);
    else if (!strcmp(line, "sum") && length == 3)
        REPLY(client, "%f\r\n", stats->sum);
    else if (!strcmp(line, "mean") && length == 4)
        REPLY(client, "%f\r\n", stats->mean);
    else if (!strcmp(line, "stddev") && length == 6)
        REPLY(client, "%f\r\n", stddev(stats));
    else if (!strcmp(line, "exit") && length == 4) {
        add(&means, stats->mean);
        summary(client, stats);
    } else if (end != line && end == line + length && isfinite(value))
        add(stats, value);
    else
        REPLY(client, "Bad input\r\n");
}

/* Processes the complete lines, as long as there is room for their replies. */
static void process(struct client *client)
{
    char *start = client->in, *newline;
    size_t left = client->in_length;
    while (!client->ended && client->out_length + MAX_REPLY < sizeof client->out
           && (newline = memchr(start, '\n', left))) {
        *newline = '\0';
        if (client->too_long)
            REPLY(client, "Line too long\r\n");
        else
            process_line(client, start, newline - start);
        client->too_long = 0;
        left -= newline + 1 - start;
        start = newline + 1;
    }
    memmove(client->in, start, left);
    client->in_length = left;
    if (left == sizeof client->in && !memchr(client->in, '\n', left)) {
        client->too_long = 1;
        client->in_length = 0;
    }
}

/* Does the next thing that needs no waiting; false when the client is gone. */
static int serve(struct client *client, int socket)
{
    char rest[65536];
    ssize_t length;
    if (client->out_length > 0) {
        length = send(socket, client->out, client->out_length, MSG_NOSIGNAL);
        if (length > 0)
            memmove(client->out, client->out + length, client->out_length -= length);
    } else if (!client->ended) {
        size_t room = sizeof client->in - client->in_length;
        length = read(socket, client->in + client->in_length, room);
        client->ended = length == 0;
        client->in_length += length > 0 ? length : 0;
    } else {
        /* To close a socket with unread input would reset the connection. */
        length = read(socket, rest, sizeof rest);
        if (length == 0)
            return 0;
    }
    if (length < 0)
        return errno == EAGAIN;
    process(client);
    if (client->ended && client->out_length == 0 && client->deadline == 0) {
        shutdown(socket, SHUT_WR);
        client->deadline = time(NULL) + LINGER_SECONDS;
    }
    return 1;
}

static int listen_on(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 128)) {
        perror("listen");
        exit(1);
    }
    return listener;
}

static void accept_client(int is_secondary)
{
    int socket = accept4(polled[is_secondary].fd, NULL, NULL, SOCK_NONBLOCK);
    struct client *client = socket < 0 ? NULL : calloc(1, sizeof *client);
    if (!client)
        return;
    if (is_secondary)
        summary(client, &means);
    else
        REPLY(client, "statistics server 1.0\r\nnumbers, count, sum, mean, stddev, exit\r\n");
    clients[used] = client;
    polled[used++] = (struct pollfd){ .fd = socket };
}

int main(int argc, char **argv)
{
    int port = argc > 1 ? atoi(argv[1]) : 9000;
    polled[0].fd = listen_on(port);
    polled[1].fd = listen_on(argc > 2 ? atoi(argv[2]) : port + 1);
    for (;;) {
        for (int i = 0; i < 2; i++)
            polled[i].events = used < 2 + MAX_CLIENTS ? POLLIN : 0;
        for (int i = 2; i < used; i++)
            polled[i].events = clients[i]->out_length > 0 ? POLLOUT : POLLIN;
        if (poll(polled, used, 1000) < 0)
            continue;
        for (int i = used - 1; i >= 2; i--) {
            int late = clients[i]->deadline && time(NULL) > clients[i]->deadline;
            if (late || (polled[i].revents && !serve(clients[i], polled[i].fd))) {
                close(polled[i].fd);
                free(clients[i]);
                clients[i] = clients[--used];
                polled[i] = polled[used];
            }
        }
        for (int i = 0; i < 2; i++)
            if (polled[i].revents)
                accept_client(i);
    }
}
