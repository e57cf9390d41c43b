#include "fetch.h"

#include "asking.h"
#include "record.h"
#include "samples.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* RESTING: a failed attempt waits for the next sweep, so that a dead server is not hammered. */
enum step { FREE, RESTING, CONNECTING, RUNNING };

struct slot {
    int fd;
    enum step step;
    uint32_t client;
    unsigned tries_left;
    bool again; /* after the rest: the same session once more, or the next one */
    uint64_t began, attempt_began;
    struct asking session;
    uint8_t *in; /* room for the largest frame, touched only as far as bytes arrive */
    size_t have;
    struct notes notes;
};

static const struct options *options;
static struct clients clients;
static struct slot *slots;
static uint32_t *free_slots, free_count, arrived, running;
static uint8_t (*dh_sc)[KEY_BYTES]; /* by client */
static struct pace pace;
static struct samples latencies;
static uint64_t quota, retries;
static int epoll;

static void *zeroes(size_t count, size_t size)
{
    int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *memory = mmap(NULL, count * size, PROT_READ | PROT_WRITE, how, -1, 0);
    if (memory == MAP_FAILED)
        die("use a smaller width or fewer clients", "out of memory");
    return memory;
}

/* Clients that no session will use cost nothing. */
static void agree_with_clients(void)
{
    if (quota && quota < clients.count)
        clients.count = quota;
    dh_sc = zeroes(clients.count, KEY_BYTES);
    for (size_t i = 0; i < clients.count; i++) {
        if (!clients.list[i].has_secret)
            die("load asks as the client: give secret=", "%s:%u: no secret key", options->clients,
                clients.list[i].line);
        if (!dh(dh_sc[i], options->S, clients.list[i].secret))
            die("take the id from the server's key", "--server: X25519 refuses this key");
    }
}

static void let_arrive(void)
{
    for (uint32_t n = 0; n < ARRIVALS_PER_SWEEP && arrived < options->width; n++)
        free_slots[free_count++] = arrived++;
}

void fetch_prepare(const struct options *given, int given_epoll)
{
    options = given;
    epoll = given_epoll;
    if (!options->clients)
        return;
    clients = clients_load(options->clients, false);
    bool warming = options->bad_inner && !options->sessions && options->seconds == 0;
    quota = warming ? clients.count : options->sessions; /* probes are of clients that have fetched */
    agree_with_clients();
    slots = zeroes(options->width, sizeof *slots);
    free_slots = zeroes(options->width, sizeof *free_slots);
    uint8_t *room = zeroes(options->width, FRAME_LIMIT_BYTES + 1);
    for (uint32_t i = 0; i < options->width; i++)
        slots[i].in = room + i * (size_t)(FRAME_LIMIT_BYTES + 1);
    if (options->record)
        record_open(options->record);
    pace.per_second = options->rate;
    let_arrive();
}

static void leave(struct slot *slot)
{
    if (slot->fd >= 0)
        close(slot->fd);
    slot->fd = -1;
    record_end(&slot->notes);
    running--;
}

static void failed(struct slot *slot, enum failure kind, int reason)
{
    leave(slot);
    slot->step = RESTING;
    slot->again = slot->tries_left > 0;
    if (slot->again) {
        slot->tries_left--;
        retries++;
    } else
        outcome_failed(kind, options->first_failure, slot->session.client->line,
                       now_ns() - slot->attempt_began, reason);
}

static bool send_whole(struct slot *slot, const uint8_t *frame, size_t size)
{
    bool whole = send(slot->fd, frame, size, MSG_NOSIGNAL) == (ssize_t)size;
    if (whole)
        record_frame(&slot->notes, '>', frame, size, slot->session.client->public);
    return whole;
}

/* On loopback a connection stands before connect returns, so the Hello mostly goes at once. */
static void greet(struct slot *slot)
{
    int operation = slot->step == CONNECTING ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    uint32_t index = (uint32_t)(slot - slots);
    if (send_whole(slot, slot->session.hello, HELLO_BYTES)) {
        slot->step = RUNNING;
        watch(epoll, operation, slot->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, FETCH, index);
    } else if (errno == EAGAIN) {
        slot->step = CONNECTING;
        watch(epoll, operation, slot->fd, EPOLLOUT | EPOLLET, FETCH, index);
    } else
        failed(slot, errno == ECONNREFUSED ? CONNECT_REFUSED : RESET_BEFORE_LINK, errno);
}

static void attempt(struct slot *slot, uint64_t now)
{
    running++;
    slot->have = 0;
    slot->step = FREE;
    slot->attempt_began = now;
    record_begin(&slot->notes);
    asking_begin(&slot->session, &clients.list[slot->client], options->S, dh_sc[slot->client]);
    slot->fd = dial(options);
    if (slot->fd >= 0)
        greet(slot);
    else
        failed(slot, errno == ECONNREFUSED ? CONNECT_REFUSED : LOCAL, errno);
}

static bool all_begun(void)
{
    return !options->clients || (quota && pace.taken >= quota);
}

uint64_t fetch_due(void)
{
    return all_begun() || !free_count ? UINT64_MAX : pace_due(&pace);
}

/* With a rate, a session's time runs from when it was due, so that a stalled server can't hide its stall. */
void fetch_fill(uint64_t now, bool stopping)
{
    pace_begin(&pace, now);
    for (uint32_t room = free_count; room > 0 && !stopping && fetch_due() <= now; room--) {
        struct slot *slot = &slots[free_slots[--free_count]];
        uint64_t begins = now_ns();
        slot->began = options->rate > 0 ? pace_due(&pace) : begins;
        slot->client = (uint32_t)(pace.taken++ % clients.count);
        slot->tries_left = options->retries;
        attempt(slot, begins);
    }
}

static void freed(struct slot *slot)
{
    slot->step = FREE;
    free_slots[free_count++] = (uint32_t)(slot - slots);
}

static void take_greeting(struct slot *slot)
{
    uint8_t get[GET_BYTES];
    enum failure failure = asking_take_greeting(&slot->session, slot->in, get);
    slot->have = 0;
    if (failure)
        failed(slot, failure, 0);
    else if (!send_whole(slot, get, sizeof get))
        failed(slot, RESET_AFTER_LINK, errno);
}

/* The session has its answer; what becomes of Bye is the server's affair. */
static void take_answer(struct slot *slot)
{
    uint8_t bye[BYE_BYTES];
    enum failure failure = asking_take_answer(&slot->session, slot->in, bye);
    if (failure)
        return failed(slot, failure, 0);
    samples_add(&latencies, now_ns() - slot->began);
    (void)send_whole(slot, bye, sizeof bye);
    leave(slot);
    freed(slot);
}

static void take_bytes(struct slot *slot)
{
    if (slot->have < HEADER_BYTES)
        return;
    size_t whole = HEADER_BYTES + header_content(slot->in);
    if (!asking_allowed(&slot->session, slot->in) || slot->have > whole)
        return failed(slot, BAD_FRAME, 0);
    if (slot->have < whole)
        return;
    record_frame(&slot->notes, '<', slot->in, whole, slot->session.client->public);
    if (slot->session.awaited == GREETING)
        take_greeting(slot);
    else
        take_answer(slot);
}

static void lost(struct slot *slot, int reason)
{
    if (slot->session.awaited == GREETING)
        failed(slot, reason ? RESET_BEFORE_LINK : CLOSED_BEFORE_LINK, reason);
    else
        failed(slot, reason ? RESET_AFTER_LINK : CLOSED_AFTER_LINK, reason);
}

/* A short read leaves the socket empty: it is read again only when the peer has hung up behind its bytes. */
void fetch_event(uint32_t index, uint32_t events)
{
    struct slot *slot = &slots[index];
    if (slot->step == CONNECTING)
        return greet(slot);
    do {
        ssize_t got = recv(slot->fd, slot->in + slot->have, FRAME_LIMIT_BYTES + 1 - slot->have, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            return lost(slot, got ? errno : 0);
        slot->have += (size_t)got;
        take_bytes(slot);
    } while (slot->step == RUNNING && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

void fetch_sweep(uint64_t now)
{
    uint64_t deadline = (uint64_t)(options->deadline_seconds * 1e9);
    if (options->clients)
        let_arrive();
    for (uint32_t i = 0; i < arrived; i++) {
        struct slot *slot = &slots[i];
        if (slot->step == RESTING && slot->again)
            attempt(slot, now);
        else if (slot->step == RESTING)
            freed(slot);
        else if (slot->step >= CONNECTING && now > slot->attempt_began + deadline)
            failed(slot, DEADLINE, 0);
    }
}

static bool one_rests_to_try_again(void)
{
    for (uint32_t i = 0; i < arrived; i++)
        if (slots[i].step == RESTING && slots[i].again)
            return true;
    return false;
}

bool fetch_done(bool stopping)
{
    return !options->clients || (!running && (stopping || all_begun()) && !one_rests_to_try_again());
}

/* Sessions that came due and found no room: an open loop that hides them would flatter the server. */
static uint64_t never_begun(double seconds)
{
    double due = options->seconds > 0 && options->seconds < seconds ? options->seconds : seconds;
    due *= options->rate;
    if (quota && due > (double)quota)
        due = (double)quota;
    return due > (double)pace.taken ? (uint64_t)due - pace.taken : 0;
}

static void report_times(FILE *out)
{
    const struct {
        const char *name;
        double part;
    } points[] = {{"p50_us", 0.5}, {"p99_us", 0.99}, {"p99_9_us", 0.999}, {"max_us", 1}};
    samples_sort(&latencies);
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
        fprintf(out, ", \"%s\": %.1f", points[i].name, samples_at(&latencies, points[i].part) / 1e3);
}

void fetch_report(FILE *out, double seconds)
{
    uint64_t failures = outcome_failures();
    fprintf(out, "\"sessions\": %lu, \"failures\": %lu, \"failures_by\": ",
            (unsigned long)(latencies.count + failures), (unsigned long)failures);
    outcome_report(out);
    fprintf(out, ", \"retries\": %lu, \"not_begun\": %lu, \"seconds\": %.3f, \"rate\": %.1f",
            (unsigned long)retries, (unsigned long)never_begun(seconds), seconds,
            seconds > 0 ? (double)latencies.count / seconds : 0.0);
    report_times(out);
    for (int i = 0; i < ACCEPTED_LIMIT; i++)
        fprintf(out, "%s%lu", i ? ", " : ", \"answers\": [", (unsigned long)asking_answers()[i]);
    fputc(']', out);
    record_report(out);
}
