/* Echo: answers every HTTP request with the same few bytes, as fast as the loopback goes.
 *
 * `echo PORT` - what a client can reach at all, and what a request costs when nothing is done for it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS = 4096, HEAD = 4096, BODY = 40 };

struct connection { size_t head, left; char text[HEAD + 1]; };

static struct connection *connections[CONNECTIONS];
static char answer[512], rest[1 << 16];
static int answer_size;

static void fail(const char *what) { perror(what); exit(1); }

/* Takes the bytes of one read; answers each request whose body is over. Gives 0 where the peer is gone. */
static int take(int fd, struct connection *c) {
    if (c->left) {
        ssize_t got = recv(fd, rest, c->left < sizeof rest ? c->left : sizeof rest, 0);
        if (got <= 0) return 0;
        c->left -= got;
    } else {
        ssize_t got = recv(fd, c->text + c->head, HEAD - c->head, 0);
        if (got <= 0) return 0;
        c->head += got;
        c->text[c->head] = 0;
        char *end = memmem(c->text, c->head, "\r\n\r\n", 4);
        if (!end) return c->head < HEAD;
        char *length = strcasestr(c->text, "content-length:");
        size_t body = length && length < end ? strtoul(length + 15, NULL, 10) : 0, had = c->text + c->head - end - 4;
        c->left = body > had ? body - had : 0;
        c->head = 0;
    }
    return c->left || send(fd, answer, answer_size, MSG_NOSIGNAL) == answer_size;
}

int main(int argc, char **argv) {
    if (argc != 2) { fprintf(stderr, "usage: echo PORT\n"); return 2; }
    answer_size = sprintf(answer, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
                          "%0*d", BODY, BODY, 0);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) fail("echo: listen");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
    for (;;) {
        int count = epoll_wait(poll, events, 256, -1);
        for (int place = 0; place < count; place++) {
            int fd = events[place].data.fd;
            if (fd == listener) {
                if ((fd = accept(listener, NULL, NULL)) < 0) continue;
                if (fd >= CONNECTIONS) { close(fd); continue; }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                connections[fd] = calloc(1, sizeof **connections);
                event.data.fd = fd;
                epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
            } else if (!take(fd, connections[fd])) {
                free(connections[fd]);
                connections[fd] = NULL;
                close(fd);
            }
        }
    }
}
