/* Load: one client on one core, open loop or closed, that times every request from the moment it was due.
 *
 * `load PORT FILE RATE SECONDS CONNECTIONS` sends the bytes of FILE, one whole HTTP request, RATE times a second,
 * whether or not answers come; RATE 0 is a closed loop. What finds no connection free waits, and its time runs.
 * After SECONDS nothing more is sent, and answers may come for GRACE more. It prints one object of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 8192 };
static const uint64_t SECOND = 1000000000, GRACE = 3000000000, SPIN = 100000, PAUSE = 100000000;

enum state { IDLE, BUSY, CLOSED };

struct connection {
    int fd;
    enum state state;
    uint64_t due, asked, opened;
    size_t sent, head, left;
    int status, chunked, closing;
    char text[HEAD + 1], tail[8];
};

struct times { uint32_t *values; size_t count, room; }; /* microseconds times ten */

static struct connection *all;
static int *idle, idle_count, total, poll_fd;
static char *request;
static size_t request_size;
static struct sockaddr_in address;
static struct times answered, refused, refused_once_sent, late;
static int last_strange;
static uint64_t in_time, faults, strange, hurried, broken, ends; /* hurried: refused without Retry-After */

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void note(struct times *t, uint64_t nanoseconds) {
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 1 << 16;
        t->values = realloc(t->values, t->room * sizeof *t->values);
    }
    uint64_t tenths = nanoseconds / 100;
    t->values[t->count++] = tenths > UINT32_MAX ? UINT32_MAX : tenths;
}

static void rest(struct connection *c) {
    c->state = IDLE;
    idle[idle_count++] = c - all;
}

static void open_connection(struct connection *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    c->opened = now();
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) {
        if (c->fd >= 0) close(c->fd);
        c->state = CLOSED;
        broken++;
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = c - all};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, c->fd, &event);
    rest(c);
}

static void forget_idle(struct connection *c) {
    for (int place = 0; place < idle_count; place++)
        if (idle[place] == c - all) { idle[place] = idle[--idle_count]; return; }
}

/* The server, or an error, ended the connection. */
static void lose(struct connection *c) {
    if (c->state == BUSY) faults++;
    if (c->state == IDLE) forget_idle(c);
    close(c->fd);
    c->state = CLOSED;
    open_connection(c);
}

static void push(struct connection *c) {
    while (c->sent < request_size) {
        ssize_t put = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL);
        if (put < 0) {
            if (errno != EAGAIN) { lose(c); return; }
            struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.u32 = c - all};
            epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
            return;
        }
        c->sent += put;
    }
}

/* `own`: a connection was free when it was due, so what it is late is this program's doing. */
static void ask(uint64_t due, int own) {
    struct connection *c = &all[idle[--idle_count]];
    if (own) note(&late, now() - due);
    c->state = BUSY;
    c->due = due;
    c->asked = now();
    c->sent = c->head = c->left = 0;
    c->status = c->chunked = c->closing = 0;
    memset(c->tail, 0, sizeof c->tail);
    push(c);
}

static void finish(struct connection *c) {
    uint64_t moment = now();
    if (c->status == 200) {
        note(&answered, moment - c->due);
        in_time += moment <= ends;
    } else if (c->status == 429 || c->status == 503) {
        note(&refused, moment - c->due);
        note(&refused_once_sent, moment - c->asked);
        hurried += !strcasestr(c->text, "\r\nretry-after:");
    } else {
        strange++;
        last_strange = c->status;
    }
    rest(c);
    if (c->closing) { forget_idle(c); c->state = CLOSED; close(c->fd); open_connection(c); }
}

/* The head is whole: what follows it, and how much of that is here. */
static void read_head(struct connection *c, char *end) {
    *end = 0;
    c->status = atoi(c->text + 9);
    char *length = strcasestr(c->text, "\r\ncontent-length:");
    c->chunked = strcasestr(c->text, "\r\ntransfer-encoding: chunked") != NULL;
    c->closing = strcasestr(c->text, "\r\nconnection: close") != NULL;
    c->left = length ? strtoul(length + 17, NULL, 10) : 0;
}

static int over(struct connection *c, const char *bytes, size_t size) {
    if (!c->chunked) {
        c->left -= size < c->left ? size : c->left;
        return c->left == 0;
    }
    size_t keep = size > 7 ? 7 : size;
    memmove(c->tail, c->tail + keep, 7 - keep);
    memcpy(c->tail + 7 - keep, bytes + size - keep, keep);
    return !memcmp(c->tail, "\r\n0\r\n\r\n", 7);
}

static void take(struct connection *c) {
    static char bytes[1 << 16];
    ssize_t got = recv(c->fd, c->status ? bytes : c->text + c->head, c->status ? sizeof bytes : HEAD - c->head, 0);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0 || c->state != BUSY) { lose(c); return; }
    if (c->status) {
        if (over(c, bytes, got)) finish(c);
        return;
    }
    c->head += got;
    c->text[c->head] = 0;
    char *end = memmem(c->text, c->head, "\r\n\r\n", 4);
    if (!end && c->head == HEAD) { lose(c); return; }
    if (!end) return;
    read_head(c, end);
    if (over(c, end + 4, c->text + c->head - end - 4)) finish(c);
}

static void wait_for(int milliseconds) {
    struct epoll_event events[512];
    int count = epoll_wait(poll_fd, events, 512, milliseconds);
    for (int place = 0; place < count; place++) {
        struct connection *c = &all[events[place].data.u32];
        if (c->state == CLOSED) continue;
        if (events[place].events & EPOLLOUT) {
            struct epoll_event event = {.events = EPOLLIN, .data.u32 = events[place].data.u32};
            epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
            push(c);
        }
        if (c->state != CLOSED && events[place].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) take(c);
    }
}

static void mend(void) {
    for (int place = 0; place < total; place++)
        if (all[place].state == CLOSED && now() - all[place].opened > PAUSE) open_connection(&all[place]);
}

static int by_value(const void *a, const void *b) {
    uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void tell(const char *name, struct times *t) {
    static const double SHARES[] = {0.5, 0.9, 0.99, 0.999, 1};
    static const char *NAMES[] = {"p50", "p90", "p99", "p999", "max"};
    qsort(t->values, t->count, sizeof *t->values, by_value);
    printf("\"%s\": {\"count\": %zu", name, t->count);
    for (int place = 0; place < 5 && t->count; place++) {
        size_t rank = SHARES[place] * t->count;
        printf(", \"%s\": %.1f", NAMES[place], t->values[rank < t->count ? rank : t->count - 1] / 10.0);
    }
    printf("}, ");
}

int main(int argc, char **argv) {
    if (argc != 6) { fprintf(stderr, "usage: load PORT FILE RATE SECONDS CONNECTIONS\n"); return 2; }
    FILE *file = fopen(argv[2], "rb");
    struct stat about;
    if (!file || fstat(fileno(file), &about)) { perror("load: FILE"); return 1; }
    request = malloc(request_size = about.st_size);
    if (fread(request, 1, request_size, file) != request_size) { perror("load: FILE"); return 1; }
    double rate = atof(argv[3]), seconds = atof(argv[4]);
    total = atoi(argv[5]);
    all = calloc(total, sizeof *all);
    idle = calloc(total, sizeof *idle);
    poll_fd = epoll_create1(0);
    struct rlimit files = {.rlim_cur = total + 64, .rlim_max = total + 64};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(atoi(argv[1]))};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    for (int place = 0; place < total; place++) open_connection(&all[place]);

    uint64_t start = now(), moment = start, due_count = 0, taken = 0, starved = 0;
    ends = start + seconds * SECOND;
    while ((moment = now()) < ends) {
        if (rate > 0) {
            due_count = (moment - start) / (double)SECOND * rate;
            for (; taken < due_count && idle_count; taken++) ask(start + taken / rate * SECOND, taken >= starved);
            if (taken < due_count) starved = due_count;
            uint64_t next = start + taken / rate * SECOND;
            wait_for(taken < due_count ? 1 : next > now() + SPIN ? (next - now()) / 1000000 : 0);
        } else {
            for (; idle_count; taken++) ask(now(), 1);
            wait_for(10);
        }
        mend();
    }
    while (now() < ends + GRACE && idle_count < total) wait_for(10);
    uint64_t busy = 0;
    for (int place = 0; place < total; place++) busy += all[place].state == BUSY;
    uint64_t due = rate > 0 ? (uint64_t)(seconds * rate) : taken;
    printf("{");
    tell("answered", &answered);
    tell("refused", &refused);
    tell("refused_once_sent", &refused_once_sent);
    tell("late", &late);
    printf("\"due\": %llu, \"asked\": %llu, \"in_time\": %llu, \"faults\": %llu, \"strange\": %llu, "
           "\"last_strange\": %d, \"without_retry_after\": %llu, \"unanswered\": %llu, \"not_connected\": %llu, \"seconds\": %.6f}\n",
           (unsigned long long)due, (unsigned long long)taken, (unsigned long long)in_time, (unsigned long long)faults,
           (unsigned long long)strange, last_strange, (unsigned long long)hurried, (unsigned long long)busy,
           (unsigned long long)broken, seconds);
    return 0;
}
