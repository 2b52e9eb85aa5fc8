/* A meta statistics server in the words of the classic dialect: a child for each client, a pipe for
 * the means, one select. Habits that are common in C programs can be switched on; each breaks
 * clauses of its own. Without one it is right.
 *
 * cc -O2 -o habits habits.c -lm && ./habits PORT META_PORT [HABIT]...
 *
 *   one-read     whatever one read returns is one line
 *   prefix-atof  a command is what begins like one, a value what atof does not make 0
 *   eof-flood    the end of the stream is read for ever, as an empty line each time
 *   text-pipe    means go through the pipe as text with two decimals; children are not reaped
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    MAX_LINE = 80,       /* with its newline */
    TEXT_RECORD = 320,   /* every %.2f fits */
    LINGER_SECONDS = 10, /* for a client that has its last line */
};

static int one_read, prefix_atof, eof_flood, text_pipe;
static int means_in, means_out;

struct stats { long count; double sum, mean, squares; };

/* Welford's method */
static void add(struct stats *stats, double value)
{
    double distance = value - stats->mean;
    stats->count++;
    stats->sum += value;
    stats->mean += distance / stats->count;
    stats->squares += distance * (value - stats->mean);
}

static double mean(const struct stats *stats)
{
    return stats->count > 0 ? stats->mean : NAN;
}

static double stddev(const struct stats *stats)
{
    return stats->count > 1 ? sqrt(stats->squares / (stats->count - 1)) : NAN;
}

/* Records are written and read whole: they are smaller than PIPE_BUF, and of one size. */
static void send_mean(double mean)
{
    char record[TEXT_RECORD];
    size_t size = text_pipe ? sizeof record : sizeof mean;
    if (text_pipe)
        snprintf(record, sizeof record, "%.2f", mean);
    else
        memcpy(record, &mean, sizeof mean);
    if (write(means_out, record, size) < 0)
        perror("write");
}

static void collect_means(struct stats *means)
{
    char record[TEXT_RECORD];
    double mean;
    while (read(means_in, record, text_pipe ? sizeof record : sizeof mean) > 0) {
        memcpy(&mean, record, sizeof mean);
        add(means, text_pipe ? atof(record) : mean);
    }
}

static int is_command(const char *line, size_t length, const char *command)
{
    size_t whole = strlen(command);
    return strncmp(line, command, whole) == 0 && (prefix_atof || length == whole);
}

static int is_value(const char *line, size_t length, double *value)
{
    char *end;
    if (prefix_atof)
        return (*value = atof(line)) != 0;
    *value = strtod(line, &end);
    return end != line && end == line + length && isfinite(*value);
}

/* Processes a line, behind which there is room for a NUL; false after `exit`. */
static int process_line(int client, struct stats *stats, char *line, size_t length)
{
    double value;
    if (length >= MAX_LINE) {
        dprintf(client, "Error: long line\n");
        return 1;
    }
    while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\r'))
        length--;
    line[length] = '\0';
    while (*line == ' ')
        line++, length--;
    if (is_command(line, length, "count"))
        dprintf(client, "%ld\n", stats->count);
    else if (is_command(line, length, "sum"))
        dprintf(client, "%.2f\n", stats->sum);
    else if (is_command(line, length, "mean"))
        dprintf(client, "%.2f\n", mean(stats));
    else if (is_command(line, length, "stddev"))
        dprintf(client, "%.2f\n", stddev(stats));
    else if (is_command(line, length, "exit")) {
        if (stats->count > 0)
            send_mean(stats->mean);
        dprintf(client, "EXIT STATS: count %ld mean %.2f stddev %.2f\n",
                stats->count, mean(stats), stddev(stats));
        return 0;
    } else if (is_value(line, length, &value))
        add(stats, value);
    else
        dprintf(client, "Error: unrecognized command\n");
    return 1;
}

static void session(int client)
{
    struct stats stats = { 0 };
    char block[4096], line[MAX_LINE];
    size_t length = 0; /* of the line so far, with what of it was dropped */
    ssize_t received;
    dprintf(client, "Stats server ready\n");
    while ((received = read(client, block, sizeof block - 1)) > 0
           || (eof_flood && received == 0)) {
        if (one_read || received == 0) {
            const char *newline = memchr(block, '\n', received);
            if (!process_line(client, &stats, block, newline ? newline - block : received))
                return;
            continue;
        }
        for (ssize_t i = 0; i < received; i++) {
            if (block[i] != '\n') {
                if (length < sizeof line)
                    line[length] = block[i];
                length++;
                continue;
            }
            if (!process_line(client, &stats, line, length))
                return;
            length = 0;
        }
    }
}

static int listen_on(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (void *)&address, sizeof address) || listen(listener, 128)) {
        perror("listen");
        exit(1);
    }
    /* A client that is gone before its accept must not block the server. */
    fcntl(listener, F_SETFL, O_NONBLOCK);
    return listener;
}

/* Serves a connection in a child: a session, or one line about the means. */
static void serve(const int listeners[2], int secondary, struct stats *means)
{
    int client = accept(listeners[secondary], NULL, NULL);
    if (client < 0)
        return;
    /* Whoever asks for the means gets all that were sent before. */
    collect_means(means);
    if (fork() == 0) {
        struct timeval linger = { .tv_sec = LINGER_SECONDS };
        char rest[4096];
        close(listeners[0]);
        close(listeners[1]);
        close(means_in);
        if (secondary)
            dprintf(client, "means_count %ld mean_of_means %.2f stddev_of_means %.2f\n",
                    means->count, mean(means), stddev(means));
        else
            session(client);
        /* To close a socket with unread input would reset the connection. */
        shutdown(client, SHUT_WR);
        setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &linger, sizeof linger);
        while (read(client, rest, sizeof rest) > 0)
            ;
        _exit(0);
    }
    close(client);
}

int main(int argc, char **argv)
{
    struct stats means = { 0 };
    int listeners[2], ends[2];
    if (argc < 3 || pipe(ends)) {
        fprintf(stderr, "usage: habits PORT META_PORT [HABIT]...\n");
        return 2;
    }
    for (int i = 3; i < argc; i++) {
        one_read |= !strcmp(argv[i], "one-read");
        prefix_atof |= !strcmp(argv[i], "prefix-atof");
        eof_flood |= !strcmp(argv[i], "eof-flood");
        text_pipe |= !strcmp(argv[i], "text-pipe");
    }
    means_in = ends[0];
    means_out = ends[1];
    fcntl(means_in, F_SETFL, O_NONBLOCK);
    for (int i = 0; i < 2; i++)
        listeners[i] = listen_on(atoi(argv[i + 1]));
    for (;;) {
        struct timeval period = { .tv_sec = 1 };
        fd_set readable;
        FD_ZERO(&readable);
        FD_SET(means_in, &readable);
        FD_SET(listeners[0], &readable);
        FD_SET(listeners[1], &readable);
        if (select(FD_SETSIZE, &readable, NULL, NULL, &period) < 0)
            continue;
        collect_means(&means);
        for (int i = 0; i < 2; i++)
            if (FD_ISSET(listeners[i], &readable))
                serve(listeners, i, &means);
        while (!text_pipe && waitpid(-1, NULL, WNOHANG) > 0)
            ;
    }
}
