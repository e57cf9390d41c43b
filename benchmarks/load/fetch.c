#include "fetch.h"

#include "ephemerals.h"
#include "outcome.h"
#include "record.h"
#include "samples.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* RESTING: a failed attempt waits for the next sweep, so that a dead server is not hammered. */
enum step { FREE, RESTING, CONNECTING, GREETED, ASKED };

struct slot {
    int fd;
    enum step step;
    unsigned tries_left;
    bool again; /* after the rest: the same session once more, or the next one */
    uint32_t client;
    uint64_t began, attempt_began;
    struct ephemeral *ephemeral;
    struct session_keys keys;
    uint8_t hello[HELLO_BYTES];
    uint8_t *in; /* room for the largest frame, touched only as far as bytes arrive */
    size_t have;
    struct notes notes;
};

static const struct options *options;
static struct clients clients;
static struct slot *slots;
static uint32_t *free_slots, free_count, running;
static uint8_t (*dh_sc)[KEY_BYTES]; /* by client */
static struct pace pace;
static struct samples latencies;
static uint64_t quota, retries, answers[ACCEPTED_LIMIT];
static int epoll;

static void *zeroes(size_t count, size_t size)
{
    void *memory = mmap(NULL, count * size + 1, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
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
    for (uint32_t i = options->width; i-- > 0; free_slots[free_count++] = i)
        slots[i].in = room + i * (size_t)(FRAME_LIMIT_BYTES + 1);
    if (options->record)
        record_open(options->record);
    pace = (struct pace){options->rate, now_ns(), 0};
}

static const struct client *client_of(const struct slot *slot)
{
    return &clients.list[slot->client];
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
        outcome_failed(kind, options->first_failure, client_of(slot)->line, now_ns() - slot->attempt_began,
                       reason);
}

static bool send_all(struct slot *slot, const uint8_t *frame, size_t size)
{
    record_frame(&slot->notes, '>', frame, size, client_of(slot)->public);
    return send(slot->fd, frame, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* On loopback a connection stands before connect returns, so the Hello mostly goes at once. */
static void greet(struct slot *slot)
{
    int operation = slot->step == CONNECTING ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    uint32_t index = (uint32_t)(slot - slots);
    if (send(slot->fd, slot->hello, HELLO_BYTES, MSG_NOSIGNAL) == HELLO_BYTES) {
        record_frame(&slot->notes, '>', slot->hello, HELLO_BYTES, client_of(slot)->public);
        slot->step = GREETED;
        watch(epoll, operation, slot->fd, EPOLLIN | EPOLLRDHUP | EPOLLET, FETCH, index);
    } else if (errno == EAGAIN) {
        watch(epoll, operation, slot->fd, EPOLLOUT | EPOLLET, FETCH, index);
        slot->step = CONNECTING;
    } else
        failed(slot, errno == ECONNREFUSED ? CONNECT_REFUSED : RESET_BEFORE_LINK, errno);
}

static void attempt(struct slot *slot, uint64_t now)
{
    running++;
    slot->have = 0;
    slot->step = FREE;
    slot->attempt_began = now;
    slot->ephemeral = ephemerals_next();
    record_begin(&slot->notes);
    hello_seal(slot->hello, options->S, slot->ephemeral->E, client_of(slot)->public, slot->ephemeral->dh_se,
               dh_sc[slot->client]);
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
    for (uint32_t room = free_count; room > 0 && !stopping && fetch_due() <= now; room--) {
        struct slot *slot = &slots[free_slots[--free_count]];
        slot->began = options->rate > 0 ? pace_due(&pace) : now_ns();
        slot->client = (uint32_t)(pace.taken++ % clients.count);
        slot->tries_left = options->retries;
        attempt(slot, options->rate > 0 ? now : slot->began);
    }
}

static void succeeded(struct slot *slot)
{
    uint8_t frame[BYE_BYTES];
    samples_add(&latencies, now_ns() - slot->began);
    (void)send_all(slot, frame,
                   frame_seal(frame, BYE, 0, slot->keys.up, client_of(slot)->public, KEY_BYTES));
    leave(slot);
    slot->step = FREE;
    free_slots[free_count++] = (uint32_t)(slot - slots);
}

static bool accepted(const struct client *client, const uint8_t *body, size_t size)
{
    uint8_t digest[DIGEST_BYTES];
    if (!client->accepted_count)
        return true;
    body_digest(digest, body, size);
    for (unsigned i = 0; i < client->accepted_count; i++)
        if (!memcmp(digest, client->accepted[i], DIGEST_BYTES)) {
            answers[i]++;
            return true;
        }
    return false;
}

static void take_answer(struct slot *slot)
{
    static uint8_t body[FRAME_LIMIT_BYTES];
    size_t size = header_content(slot->in) - MAC_BYTES;
    if (!frame_open(body, slot->in, 0, slot->keys.down))
        failed(slot, BAD_BOX, 0);
    else if (slot->in[2] == ERROR)
        failed(slot, GOT_ERROR, 0);
    else if (sodium_unpad(&size, body, size, PAD_BYTES))
        failed(slot, BAD_PADDING, 0);
    else if (!accepted(client_of(slot), body, size))
        failed(slot, WRONG_BODY, 0);
    else
        succeeded(slot);
}

static bool open_greeting(struct slot *slot)
{
    uint8_t body[PAD_BYTES];
    const uint8_t *opening = slot->in + HEADER_BYTES, *dh_fe = ephemeral_dh_fe(slot->ephemeral, opening);
    const struct greeting greeting = {options->S, slot->hello, opening, dh_sc[slot->client],
                                      slot->ephemeral->dh_se, dh_fe, slot->in[2]};
    if (!dh_fe)
        return false;
    session_keys_derive(&slot->keys, &greeting);
    return frame_open(body, slot->in, OPENING_BYTES, slot->keys.down) &&
           (greeting.reply != KEY_NOT_FOUND || !memcmp(body, client_of(slot)->public, KEY_BYTES));
}

static void take_greeting(struct slot *slot)
{
    uint8_t frame[GET_BYTES];
    if (!open_greeting(slot))
        return failed(slot, BAD_BOX, 0);
    if (slot->in[2] != LINK)
        return failed(slot, slot->in[2] == ERROR ? GOT_ERROR : GOT_KEY_NOT_FOUND, 0);
    slot->step = ASKED;
    slot->have = 0;
    if (!send_all(slot, frame, frame_seal(frame, GET, 0, slot->keys.up, NULL, 0)))
        failed(slot, RESET_AFTER_LINK, errno);
}

/* What the state allows, by protocol.md's table of frames. */
static bool allowed(const struct slot *slot)
{
    size_t size = HEADER_BYTES + header_content(slot->in);
    switch (slot->in[2]) {
    case LINK: return slot->step == GREETED && size == LINK_BYTES;
    case KEY_NOT_FOUND: return slot->step == GREETED && size == KEY_NOT_FOUND_BYTES;
    case ERROR: return size == ERROR_BYTES + (slot->step == GREETED ? (size_t)OPENING_BYTES : 0);
    case OK_GET:
        return slot->step == ASKED && size > HEADER_BYTES + MAC_BYTES && size <= FRAME_LIMIT_BYTES &&
               (size - HEADER_BYTES - MAC_BYTES) % PAD_BYTES == 0;
    default: return false;
    }
}

static void take_bytes(struct slot *slot)
{
    if (slot->have < HEADER_BYTES)
        return;
    size_t whole = HEADER_BYTES + header_content(slot->in);
    if (!allowed(slot) || slot->have > whole)
        return failed(slot, BAD_FRAME, 0);
    if (slot->have < whole)
        return;
    record_frame(&slot->notes, '<', slot->in, whole, client_of(slot)->public);
    if (slot->step == GREETED)
        take_greeting(slot);
    else
        take_answer(slot);
}

static void lost(struct slot *slot, int reason)
{
    if (slot->step == GREETED)
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
    } while (slot->step >= GREETED && events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

void fetch_sweep(uint64_t now)
{
    uint64_t deadline = (uint64_t)(options->deadline_seconds * 1e9);
    for (uint32_t i = 0; options->clients && i < options->width; i++) {
        struct slot *slot = &slots[i];
        if (slot->step == RESTING && slot->again)
            attempt(slot, now);
        else if (slot->step == RESTING) {
            slot->step = FREE;
            free_slots[free_count++] = i;
        } else if (slot->step >= CONNECTING && now > slot->attempt_began + deadline)
            failed(slot, DEADLINE, 0);
    }
}

static bool one_rests_to_try_again(void)
{
    for (uint32_t i = 0; i < options->width; i++)
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

void fetch_report(FILE *out, double seconds)
{
    samples_sort(&latencies);
    fprintf(out, "\"sessions\": %lu, \"failures\": %lu, \"failures_by\": ",
            (unsigned long)(latencies.count + outcome_failures()), (unsigned long)outcome_failures());
    outcome_report(out);
    fprintf(out, ", \"not_begun\": %lu", (unsigned long)never_begun(seconds));
    fprintf(out, ", \"retries\": %lu, \"seconds\": %.3f, \"rate\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, "
            "\"p99_9_us\": %.1f, \"max_us\": %.1f, \"answers\": [", (unsigned long)retries, seconds,
            seconds > 0 ? (double)latencies.count / seconds : 0.0, samples_at(&latencies, 0.5) / 1e3,
            samples_at(&latencies, 0.99) / 1e3, samples_at(&latencies, 0.999) / 1e3,
            samples_at(&latencies, 1) / 1e3);
    for (int i = 0; i < ACCEPTED_LIMIT; i++)
        fprintf(out, i ? ", %lu" : "%lu", (unsigned long)answers[i]);
    fputc(']', out);
    record_report(out);
}
