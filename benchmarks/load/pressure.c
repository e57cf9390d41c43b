#include "pressure.h"

#include "samples.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GARBAGE_AT_ONCE = 512, CROWD_SHIFT = 28 };
enum crowd_name { IDLE, DRIBBLE, GARBAGE, CROWDS };

struct stranger {
    int fd; /* -1 = not there */
    bool stands;
    unsigned sent;
    uint64_t since; /* it began to connect; it stood */
};

struct crowd {
    const char *name;
    struct stranger *list;
    uint32_t *absent, absent_count, size;
    uint64_t opened, reset, closed, refused, local, bytes;
    struct samples lasted;
};

static const struct options *options;
static struct crowd crowds[CROWDS] = {{.name = "idle"}, {.name = "dribble"}, {.name = "garbage"}};
static struct pace pace;
static uint8_t dribbled[HELLO_BYTES];
static int epoll;

static void gather(struct crowd *crowd, uint32_t size)
{
    crowd->size = size;
    crowd->list = calloc(size + 1, sizeof *crowd->list);
    crowd->absent = calloc(size + 1, sizeof *crowd->absent);
    if (!crowd->list || !crowd->absent)
        die("ask for fewer", "out of memory");
    for (uint32_t i = size; i-- > 0; crowd->absent[crowd->absent_count++] = i)
        crowd->list[i].fd = -1;
}

static void garbage_pack(uint8_t frame[HELLO_BYTES])
{
    header_pack(frame, HELLO, HELLO_BYTES - HEADER_BYTES);
    randombytes_buf(frame + HEADER_BYTES, HELLO_BYTES - HEADER_BYTES);
}

void pressure_prepare(const struct options *given, int given_epoll)
{
    options = given;
    epoll = given_epoll;
    gather(&crowds[IDLE], options->idle);
    gather(&crowds[DRIBBLE], options->dribble);
    gather(&crowds[GARBAGE], options->garbage > 0 ? GARBAGE_AT_ONCE : 0);
    pace.per_second = options->garbage;
    garbage_pack(dribbled);
}

static void gone(struct crowd *crowd, struct stranger *stranger)
{
    close(stranger->fd);
    stranger->fd = -1;
    crowd->absent[crowd->absent_count++] = (uint32_t)(stranger - crowd->list);
}

/* How it ended: `reason` is errno, 0 for an orderly end of the stream. */
static void ended(struct crowd *crowd, struct stranger *stranger, int reason)
{
    if (reason == ECONNREFUSED)
        crowd->refused++;
    else {
        crowd->reset += reason != 0;
        crowd->closed += reason == 0;
        samples_add(&crowd->lasted, now_ns() - stranger->since);
    }
    gone(crowd, stranger);
}

static void stands(struct crowd *crowd, struct stranger *stranger)
{
    uint8_t frame[HELLO_BYTES];
    stranger->stands = true;
    stranger->since = now_ns();
    if (crowd != &crowds[GARBAGE])
        return;
    garbage_pack(frame);
    if (send(stranger->fd, frame, sizeof frame, MSG_NOSIGNAL) < 0)
        ended(crowd, stranger, errno);
}

static void arrive(struct crowd *crowd)
{
    uint32_t index = crowd->absent[crowd->absent_count - 1];
    struct stranger *stranger = &crowd->list[index];
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    *stranger = (struct stranger){.fd = dial(options), .since = now_ns()};
    if (stranger->fd < 0) {
        *(errno == ECONNREFUSED ? &crowd->refused : &crowd->local) += 1;
        return;
    }
    crowd->absent_count--;
    crowd->opened++;
    bool connected = getpeername(stranger->fd, (struct sockaddr *)&peer, &size) == 0;
    uint32_t events = EPOLLIN | EPOLLRDHUP | EPOLLET | (connected ? 0 : EPOLLOUT);
    watch(epoll, EPOLL_CTL_ADD, stranger->fd, events, PRESSURE,
          (uint32_t)(crowd - crowds) << CROWD_SHIFT | index);
    if (connected)
        stands(crowd, stranger);
}

uint64_t pressure_due(void)
{
    return crowds[GARBAGE].absent_count ? pace_due(&pace) : UINT64_MAX;
}

/* What could not be sent in its tenth of a second is let go, or a stall would be followed by a flood. */
void pressure_fill(uint64_t now)
{
    pace_begin(&pace, now);
    if (pressure_due() + 100000000 < now)
        pace = (struct pace){options->garbage, now, 0};
    for (uint32_t room = crowds[GARBAGE].absent_count; room > 0 && pressure_due() <= now; room--) {
        pace.taken++;
        arrive(&crowds[GARBAGE]);
    }
}

static void listen_to(struct crowd *crowd, struct stranger *stranger)
{
    uint8_t bytes[4096];
    ssize_t got;
    while ((got = recv(stranger->fd, bytes, sizeof bytes, 0)) > 0)
        crowd->bytes += (uint64_t)got;
    if (got == 0 || errno != EAGAIN)
        ended(crowd, stranger, got == 0 ? 0 : errno);
}

void pressure_event(uint32_t index, uint32_t events)
{
    struct crowd *crowd = &crowds[index >> CROWD_SHIFT];
    struct stranger *stranger = &crowd->list[index & ((1u << CROWD_SHIFT) - 1)];
    if (!stranger->stands && events & EPOLLOUT && !(events & EPOLLERR))
        stands(crowd, stranger);
    if (stranger->fd >= 0 && events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        listen_to(crowd, stranger);
}

/* The last byte is kept back: a whole Hello would be garbage, not a dribble. */
static void dribble(struct crowd *crowd, uint64_t now)
{
    for (uint32_t i = 0; i < crowd->size; i++) {
        struct stranger *stranger = &crowd->list[i];
        if (stranger->fd < 0 || !stranger->stands || stranger->sent == HELLO_BYTES - 1 ||
            now < stranger->since + stranger->sent * 1000000000ull)
            continue;
        if (send(stranger->fd, dribbled + stranger->sent++, 1, MSG_NOSIGNAL) < 0)
            ended(crowd, stranger, errno);
    }
}

void pressure_sweep(uint64_t now)
{
    for (enum crowd_name name = IDLE; name <= DRIBBLE; name++)
        for (uint32_t room = crowds[name].absent_count, n = 0; n < room && n < ARRIVALS_PER_SWEEP; n++)
            arrive(&crowds[name]);
    dribble(&crowds[DRIBBLE], now);
}

static double oldest_seconds(const struct crowd *crowd)
{
    uint64_t now = now_ns(), oldest = now;
    for (uint32_t i = 0; i < crowd->size; i++)
        if (crowd->list[i].fd >= 0 && crowd->list[i].stands && crowd->list[i].since < oldest)
            oldest = crowd->list[i].since;
    return (double)(now - oldest) / 1e9;
}

static void report(FILE *out, struct crowd *crowd, double seconds)
{
    samples_sort(&crowd->lasted);
    fprintf(out, ", \"%s\": {\"opened\": %lu, \"rate\": %.1f, \"reset\": %lu, \"closed\": %lu, ", crowd->name,
            (unsigned long)crowd->opened, seconds > 0 ? (double)crowd->opened / seconds : 0.0,
            (unsigned long)crowd->reset, (unsigned long)crowd->closed);
    fprintf(out, "\"refused\": %lu, \"local\": %lu, \"bytes_received\": %lu, ", (unsigned long)crowd->refused,
            (unsigned long)crowd->local, (unsigned long)crowd->bytes);
    fprintf(out, "\"lasted_min_s\": %.6f, \"lasted_p50_s\": %.6f, \"lasted_max_s\": %.6f, ",
            samples_at(&crowd->lasted, 0) / 1e9, samples_at(&crowd->lasted, 0.5) / 1e9,
            samples_at(&crowd->lasted, 1) / 1e9);
    fprintf(out, "\"open\": %u, \"oldest_open_s\": %.6f}", crowd->size - crowd->absent_count,
            oldest_seconds(crowd));
}

uint64_t pressure_report(FILE *out, double seconds)
{
    uint64_t bytes = 0;
    for (enum crowd_name name = IDLE; name < CROWDS; name++) {
        if (crowds[name].size)
            report(out, &crowds[name], seconds);
        bytes += crowds[name].bytes;
    }
    return bytes;
}
