/* Many AudioHook clients in one thread: paced calls, and on demand floods beside them.
 *
 * Every stream sends a frame each 100 ms and a protocol `ping` right after every 50th, and
 * measures the time to its `pong`. Streams take turns at even distances, so the one that is due
 * next is always the next in line. How late its own frames left is reported with the rest: a run
 * in which the generator was late says nothing about the server.
 *
 * Prints one JSON object a line: {"event":"window"} when the measured time begins, {"event":"end"}
 * when it is over, {"event":"result",...} after the last session was closed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_TLS
#include <openssl/ssl.h>
#endif

typedef int64_t ns;

enum {
    FRAME_BYTES = 1600, HEADER_BYTES = 8, FRAME_WIRE = FRAME_BYTES + HEADER_BYTES,
    FRAMES_A_PING = 50, BATCH = 40, INPUT_BYTES = 4096, TEXT_BYTES = 1024,
    BUCKET_NS = 10000, BUCKETS = 500000, FRAMES_A_TURN = 256,
};
static const ns SECOND = 1000000000, PERIOD = 100000000;

enum state { IDLE, CONNECTING, HANDSHAKE, UPGRADING, OPENING, OPEN, CLOSING, CLOSED, GONE };
enum phase { RAMP, WARM, WINDOW, ENDING, OVER };

struct conn {
    int fd, index;
    enum state state;
    uint32_t seq, serverseq, frames;
    uint32_t wants_write;
    ns open_ns, ping_ns, connect_ns;
    unsigned char *out;          /* what the kernel has not taken yet */
    size_t out_size, out_room;
    size_t flood_at;             /* how much of the batch has left */
    unsigned char in[INPUT_BYTES];
    size_t in_size;
#ifdef WITH_TLS
    SSL *ssl;
#endif
};

struct histogram {
    uint32_t bucket[BUCKETS];
    uint64_t count;
    ns max;
};

static struct {
    const char *host, *path, *heads;
    int port, streams, floods, tls;
    double rate, warmup, seconds;
    unsigned run;
} options = { "127.0.0.1", "/api/v1/audiohook/ws", NULL, 0, 100, 0, 0, 250, 1, 5, 0 };

static struct conn *conns;
static int epoll_fd, total, opened, failed, lost, clean, started;
static enum phase phase = RAMP;
static struct histogram lateness, rtt, setup, connecting;
static uint64_t frames, flood_bytes, pings, pongs;
static unsigned char batch[BATCH * FRAME_WIRE];
static char **heads; /* signed requests, one for each stream, made beforehand */
static const unsigned char KEY[4] = { 0x37, 0xfa, 0x21, 0x3d };
#ifdef WITH_TLS
static SSL_CTX *tls;
#endif

static ns now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (ns)t.tv_sec * SECOND + t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "loadgen: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void note(struct histogram *h, ns value) {
    if (value < 0) value = 0;
    ns bucket = value / BUCKET_NS;
    h->bucket[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
    h->count++;
    if (value > h->max) h->max = value;
}

/* Milliseconds at a quantile, rounded up to the bucket's end. */
static double quantile_ms(const struct histogram *h, double q) {
    uint64_t rank = (uint64_t)(q * (double)h->count), seen = 0;
    if (!h->count) return 0;
    if (rank >= h->count) rank = h->count - 1;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += h->bucket[i]) > rank)
            return (double)(i + 1) * BUCKET_NS / 1e6;
    return (double)h->max / 1e6;
}

static void print_histogram(const char *name, const struct histogram *h) {
    printf("\"%s\":{\"count\":%llu,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f},", name,
           (unsigned long long)h->count, quantile_ms(h, 0.5), quantile_ms(h, 0.99),
           (double)h->max / 1e6);
}

/* ---- bytes ------------------------------------------------------------------------------ */

static void watch(struct conn *c, int wants_write) {
    if (c->wants_write == (uint32_t)wants_write) return;
    c->wants_write = (uint32_t)wants_write;
    struct epoll_event e = { .events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = c };
    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
}

static void gone(struct conn *c) {
    if (c->state == GONE) return;
    if (c->state == CLOSED) clean++;
    else if (c->state >= OPEN) lost++;
    else failed++;
    c->state = GONE;
#ifdef WITH_TLS
    if (c->ssl) SSL_free(c->ssl);
    c->ssl = NULL;
#endif
    close(c->fd);
    free(c->out);
    c->out = NULL;
    c->out_size = 0;
}

/* Bytes the connection took; 0 where it takes none now, -1 where it is gone. */
static ssize_t put(struct conn *c, const void *data, size_t size) {
#ifdef WITH_TLS
    if (c->ssl) {
        int sent = SSL_write(c->ssl, data, (int)size);
        if (sent > 0) return sent;
        int why = SSL_get_error(c->ssl, sent);
        return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
    }
#endif
    ssize_t sent = send(c->fd, data, size, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static ssize_t get(struct conn *c, void *data, size_t size) {
#ifdef WITH_TLS
    if (c->ssl) {
        int got = SSL_read(c->ssl, data, (int)size);
        if (got > 0) return got;
        int why = SSL_get_error(c->ssl, got);
        if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return 0;
        return -1;
    }
#endif
    ssize_t got = recv(c->fd, data, size, 0);
    if (got > 0) return got;
    return got < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
}

static void queue(struct conn *c, const void *data, size_t size) {
    if (c->out_size + size > c->out_room) {
        c->out_room = (c->out_size + size) * 2;
        c->out = realloc(c->out, c->out_room);
        if (!c->out) die("memory");
    }
    memcpy(c->out + c->out_size, data, size);
    c->out_size += size;
}

static void flush(struct conn *c) {
    while (c->out_size) {
        ssize_t sent = put(c, c->out, c->out_size);
        if (sent < 0) { gone(c); return; }
        if (sent == 0) { watch(c, 1); return; }
        c->out_size -= (size_t)sent;
        memmove(c->out, c->out + sent, c->out_size);
    }
    watch(c, c->index >= options.streams && c->state == OPEN && phase == WINDOW);
}

static void push(struct conn *c, const void *data, size_t size) {
    if (!c->out_size) {
        ssize_t sent = put(c, data, size);
        if (sent < 0) { gone(c); return; }
        data = (const char *)data + sent;
        size -= (size_t)sent;
    }
    if (size) {
        queue(c, data, size);
        flush(c);
    }
}

/* ---- messages --------------------------------------------------------------------------- */

static void push_text(struct conn *c, const char *format, ...) {
    char text[TEXT_BYTES];
    unsigned char wire[TEXT_BYTES + HEADER_BYTES];
    va_list arguments;
    va_start(arguments, format);
    size_t size = (size_t)vsnprintf(text, sizeof text, format, arguments), at = 0;
    va_end(arguments);
    wire[at++] = 0x81;
    if (size < 126) {
        wire[at++] = (unsigned char)(0x80 | size);
    } else {
        wire[at++] = 0x80 | 126;
        wire[at++] = (unsigned char)(size >> 8);
        wire[at++] = (unsigned char)size;
    }
    memcpy(wire + at, KEY, 4);
    at += 4;
    for (size_t i = 0; i < size; i++) wire[at + i] = (unsigned char)text[i] ^ KEY[i & 3];
    push(c, wire, at + size);
}

static void id_of(const struct conn *c, int kind, char *id) {
    sprintf(id, "%08x-%04x-4000-8000-%012x", options.run, (unsigned)kind, (unsigned)c->index);
}

static void message(struct conn *c, const char *type, const char *parameters) {
    char id[37];
    id_of(c, 0, id);
    push_text(c,
              "{\"version\":\"2\",\"id\":\"%s\",\"type\":\"%s\",\"seq\":%u,\"serverseq\":%u,"
              "\"position\":\"PT%u.%uS\",\"parameters\":%s}",
              id, type, ++c->seq, c->serverseq, c->frames / 10, c->frames % 10, parameters);
}

static void send_open(struct conn *c, ns now) {
    char parameters[TEXT_BYTES], conversation[37], participant[37];
    id_of(c, 1, conversation);
    id_of(c, 2, participant);
    snprintf(parameters, sizeof parameters,
             "{\"organizationId\":\"d7934305-0972-4844-938e-9060eef73d05\","
             "\"conversationId\":\"%s\",\"participant\":{\"id\":\"%s\",\"ani\":\"\","
             "\"aniName\":\"\",\"dnis\":\"\"},\"media\":[{\"type\":\"audio\",\"format\":\"PCMU\","
             "\"channels\":[\"external\",\"internal\"],\"rate\":8000}]}",
             conversation, participant);
    c->state = OPENING;
    c->open_ns = now;
    message(c, "open", parameters);
}

static void send_ping(struct conn *c) {
    c->ping_ns = now_ns();
    pings++;
    message(c, "ping", "{}");
}

static void received(struct conn *c, const char *text) {
    const char *seq = strstr(text, "\"seq\":");
    if (seq) c->serverseq = (uint32_t)strtoul(seq + 6, NULL, 10);
    if (strstr(text, "\"pong\"")) {
        pongs++;
        /* A flood's own pings wait behind the flood, by its own doing: not what is measured. */
        if (c->ping_ns && phase == WINDOW && c->index < options.streams)
            note(&rtt, now_ns() - c->ping_ns);
        c->ping_ns = 0;
    } else if (strstr(text, "\"opened\"") && c->state == OPENING) {
        note(&setup, now_ns() - c->open_ns);
        c->state = OPEN;
        opened++;
    } else if (strstr(text, "\"closed\"") && c->state == CLOSING) {
        unsigned char bye[8] = { 0x88, 0x82, KEY[0], KEY[1], KEY[2], KEY[3],
                                 0x03 ^ KEY[0], 0xe8 ^ KEY[1] };
        c->state = CLOSED;
        push(c, bye, sizeof bye);
    } else if (strstr(text, "\"disconnect\"")) {
        gone(c);
    }
}

/* Takes whole frames from the input; servers send short ones, unmasked. */
static void parse(struct conn *c) {
    size_t at = 0;
    while (c->state != GONE && c->in_size - at >= 2) {
        unsigned char *f = c->in + at;
        size_t size = f[1] & 0x7f, head = 2;
        if (size == 126) {
            if (c->in_size - at < 4) break;
            size = (size_t)f[2] << 8 | f[3];
            head = 4;
        }
        if (size + head + 1 > INPUT_BYTES) { gone(c); return; }
        if (c->in_size - at < head + size) break;
        if ((f[0] & 0x0f) == 8) { gone(c); return; }
        if ((f[0] & 0x0f) == 1) {
            char text[INPUT_BYTES];
            memcpy(text, f + head, size);
            text[size] = 0;
            received(c, text);
        }
        at += head + size;
    }
    if (c->state == GONE) return;
    c->in_size -= at;
    memmove(c->in, c->in + at, c->in_size);
}

/* ---- the beginning of a connection ------------------------------------------------------ */

static void send_request(struct conn *c) {
    char head[1024], id[37], correlation[37];
    c->state = UPGRADING;
    if (heads) {
        push(c, heads[c->index], strlen(heads[c->index]));
        return;
    }
    id_of(c, 0, id);
    id_of(c, 3, correlation);
    int size = snprintf(head, sizeof head,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Audiohook-Organization-Id: d7934305-0972-4844-938e-9060eef73d05\r\n"
        "Audiohook-Session-Id: %s\r\nAudiohook-Correlation-Id: %s\r\n"
        "X-API-KEY: bench\r\n\r\n", options.path, options.host, options.port, id, correlation);
    push(c, head, (size_t)size);
}

static void handshake(struct conn *c) {
#ifdef WITH_TLS
    int done = SSL_do_handshake(c->ssl);
    if (done != 1) {
        int why = SSL_get_error(c->ssl, done);
        if (why == SSL_ERROR_WANT_READ) watch(c, 0);
        else if (why == SSL_ERROR_WANT_WRITE) watch(c, 1);
        else gone(c);
        return;
    }
#endif
    send_request(c);
}

static void connected(struct conn *c) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) { gone(c); return; }
    watch(c, 0);
#ifdef WITH_TLS
    if (options.tls) {
        c->ssl = SSL_new(tls);
        SSL_set_fd(c->ssl, c->fd);
        SSL_set_connect_state(c->ssl);
        c->state = HANDSHAKE;
        handshake(c);
        return;
    }
#endif
    send_request(c);
}

static void dial(struct conn *c, ns now) {
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port) };
    int one = 1;
    if (inet_pton(AF_INET, options.host, &to.sin_addr) != 1) die("address");
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0) die("socket");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->state = CONNECTING;
    c->connect_ns = now;
    c->wants_write = 1;
    struct epoll_event e = { .events = EPOLLIN | EPOLLOUT, .data.ptr = c };
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e);
    if (connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS) gone(c);
}

/* ---- what happens ----------------------------------------------------------------------- */

static void readable(struct conn *c) {
    ssize_t got;
    while (c->state != GONE &&
           (got = get(c, c->in + c->in_size, INPUT_BYTES - 1 - c->in_size)) != 0) {
        if (got < 0) { gone(c); return; }
        c->in_size += (size_t)got;
        if (c->state == UPGRADING) {
            c->in[c->in_size] = 0;
            char *end = strstr((char *)c->in, "\r\n\r\n");
            if (!end) continue;
            if (strncmp((char *)c->in, "HTTP/1.1 101", 12)) { gone(c); return; }
            size_t head = (size_t)(end + 4 - (char *)c->in);
            c->in_size -= head;
            memmove(c->in, c->in + head, c->in_size);
            note(&connecting, now_ns() - c->connect_ns);
            send_open(c, now_ns());
        }
        parse(c);
    }
}

/* A flooder writes a batch a turn for as long as the kernel takes it. */
static void flood(struct conn *c) {
    if (c->flood_at == 0 && now_ns() - c->ping_ns > 4 * SECOND) send_ping(c);
    if (c->state != OPEN || c->out_size) return;
    ssize_t sent = put(c, batch + c->flood_at, sizeof batch - c->flood_at);
    if (sent < 0) { gone(c); return; }
    flood_bytes += (uint64_t)sent;
    c->flood_at += (size_t)sent;
    if (c->flood_at == sizeof batch) {
        c->flood_at = 0;
        c->frames += BATCH;
    }
}

static void end(struct conn *c) {
    if (c->flood_at) { /* the batch must not end within a frame */
        queue(c, batch + c->flood_at, sizeof batch - c->flood_at);
        c->flood_at = 0;
        c->frames += BATCH;
    }
    c->state = CLOSING;
    message(c, "close", "{\"reason\":\"end\"}");
}

static void turn(struct conn *c, ns due, ns now) {
    if (c->state != OPEN) return;
    if (phase == ENDING) { end(c); return; }
    push(c, batch, FRAME_WIRE);
    c->frames++;
    if (phase == WINDOW) {
        frames++;
        note(&lateness, now - due);
    }
    if ((c->frames + (uint32_t)c->index * 7) % FRAMES_A_PING == 0 && c->state == OPEN)
        send_ping(c);
}

static void happened(struct conn *c, uint32_t events) {
    if (c->state == CONNECTING) {
        if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) connected(c);
    } else if (c->state == HANDSHAKE) {
        handshake(c);
    } else if (c->state != GONE) {
        if (events & EPOLLOUT) flush(c);
        if (c->state == OPEN && c->index >= options.streams && phase == WINDOW && !c->out_size)
            flood(c);
        if (c->state != GONE && events & (EPOLLIN | EPOLLERR | EPOLLHUP)) readable(c);
    }
}

static void set_phase(enum phase next) {
    phase = next;
    if (next == WINDOW || next == ENDING) {
        printf("{\"event\":\"%s\"}\n", next == WINDOW ? "window" : "end");
        fflush(stdout);
    }
    for (int i = options.streams; i < total; i++) { /* the floods */
        if (conns[i].state != OPEN) continue;
        if (next == WINDOW) watch(&conns[i], 1);
        if (next == ENDING) end(&conns[i]);
    }
}

static void wait_until(ns due) {
    static struct epoll_event events[512];
    ns left = due - now_ns();
    if (left < 0) left = 0;
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 35)
    struct timespec t = { left / SECOND, left % SECOND };
    int count = epoll_pwait2(epoll_fd, events, 512, &t, NULL);
#else
    int count = epoll_wait(epoll_fd, events, 512, (int)(left / 1000000));
#endif
    for (int i = 0; i < count; i++) happened(events[i].data.ptr, events[i].events);
}

static int run(void) {
    ns start = now_ns(), since = start, limit = start + (ns)(total / options.rate * 1e9) + 20 * SECOND;
    uint64_t turns = 0;
    while (phase != OVER) {
        ns now = now_ns(), due = 0;
        while (started < total && (double)started <= (double)(now - start) / 1e9 * options.rate)
            dial(&conns[started++], now);
        for (int i = 0; i < FRAMES_A_TURN; i++) {
            due = start + (ns)((double)turns * (double)PERIOD / options.streams);
            if (due > (now = now_ns())) break;
            turn(&conns[turns++ % (uint64_t)options.streams], due, now);
        }
        int ended = failed + lost + clean;
        if (phase == RAMP && (opened + failed >= total || now > limit)) {
            if (now > limit) fprintf(stderr, "loadgen: %d of %d opened in time\n", opened, total);
            set_phase(WARM);
            since = now;
        } else if (phase == WARM && now - since > (ns)(options.warmup * 1e9)) {
            set_phase(WINDOW);
            since = now;
        } else if (phase == WINDOW && now - since > (ns)(options.seconds * 1e9)) {
            set_phase(ENDING);
            since = now;
        } else if (phase == ENDING && (ended >= started || now - since > 20 * SECOND)) {
            set_phase(OVER);
        }
        if (started < total) {
            ns next = start + (ns)((double)started / options.rate * 1e9);
            if (next < due) due = next;
        }
        wait_until(due);
    }
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    printf("{\"event\":\"result\",\"streams\":%d,\"floods\":%d,\"seconds\":%.3f,", options.streams,
           options.floods, options.seconds);
    print_histogram("lateness", &lateness);
    print_histogram("rtt", &rtt);
    print_histogram("setup", &setup);
    print_histogram("upgrade", &connecting);
    printf("\"frames\":%llu,\"flood_bytes\":%llu,\"pings\":%llu,\"pongs\":%llu,\"opened\":%d,"
           "\"failed\":%d,\"lost\":%d,\"clean\":%d,\"unfinished\":%d}\n",
           (unsigned long long)frames, (unsigned long long)flood_bytes, (unsigned long long)pings,
           (unsigned long long)pongs, opened, failed, lost, clean,
           started - failed - lost - clean);
    fflush(stdout);
    return 0;
}

/* One request after the other, each ended by its blank line; made into strings of their own. */
static void read_heads(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    fseek(file, 0, SEEK_END);
    size_t size = (size_t)ftell(file);
    rewind(file);
    char *text = calloc(1, size + 1);
    heads = calloc((size_t)total, sizeof *heads);
    if (!text || !heads || fread(text, 1, size, file) != size) die(path);
    fclose(file);
    for (int i = 0; i < total; i++) {
        char *end = strstr(text, "\r\n\r\n");
        if (!end) { errno = EINVAL; die(path); }
        heads[i] = strndup(text, (size_t)(end + 4 - text));
        text = end + 4;
    }
}

static void build_batch(void) {
    uint32_t noise = 1;
    for (int i = 0; i < BATCH; i++) {
        unsigned char *f = batch + i * FRAME_WIRE;
        f[0] = 0x82;
        f[1] = 0x80 | 126;
        f[2] = FRAME_BYTES >> 8;
        f[3] = FRAME_BYTES & 0xff;
        memcpy(f + 4, KEY, 4);
        for (int j = 0; j < FRAME_BYTES; j++) {
            noise = noise * 1664525u + 1013904223u;
            f[HEADER_BYTES + j] = (unsigned char)(noise >> 24) ^ KEY[j & 3];
        }
    }
}

int main(int argc, char **argv) {
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (!strcmp(name, "--host")) options.host = value;
        else if (!strcmp(name, "--port")) options.port = atoi(value);
        else if (!strcmp(name, "--path")) options.path = value;
        else if (!strcmp(name, "--streams")) options.streams = atoi(value);
        else if (!strcmp(name, "--floods")) options.floods = atoi(value);
        else if (!strcmp(name, "--rate")) options.rate = atof(value);
        else if (!strcmp(name, "--warmup")) options.warmup = atof(value);
        else if (!strcmp(name, "--seconds")) options.seconds = atof(value);
        else if (!strcmp(name, "--run")) options.run = (unsigned)strtoul(value, NULL, 16);
        else if (!strcmp(name, "--heads")) options.heads = value;
        else if (!strcmp(name, "--tls")) options.tls = atoi(value);
        else { fprintf(stderr, "loadgen: unknown option %s\n", name); return 2; }
    }
    if (options.port <= 0 || options.streams < 1 || options.rate <= 0) {
        fprintf(stderr, "loadgen: --port, --streams >= 1 and --rate > 0 are needed\n");
        return 2;
    }
    total = options.streams + options.floods;
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (options.heads) read_heads(options.heads);
#ifdef WITH_TLS
    if (options.tls) {
        tls = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    }
#else
    if (options.tls) { fprintf(stderr, "loadgen: built without TLS\n"); return 2; }
#endif
    build_batch();
    epoll_fd = epoll_create1(0);
    conns = calloc((size_t)total, sizeof *conns);
    if (epoll_fd < 0 || !conns) die("memory");
    for (int i = 0; i < total; i++) conns[i].index = i;
    return run();
}
