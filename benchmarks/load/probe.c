#include "probe.h"

#include "ephemerals.h"
#include "samples.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* SETTLE: the server has accepted and sleeps again when the Hello arrives, so that all begin alike. */
enum { SETTLE_NS = 100000, PATIENCE_MS = 10000, STRANGERS = 64 };

static struct class {
    const char *name;
    uint8_t (*C)[KEY_BYTES];
    uint32_t count;
    struct samples lasted;
} classes[3];
static unsigned class_count, not_reset;
static uint64_t bytes_received;
static FILE *raw;

static void add_class(const char *name, uint8_t (*C)[KEY_BYTES], size_t count)
{
    classes[class_count++] = (struct class){.name = name, .C = C, .count = (uint32_t)count};
}

static void add_clients(const char *name, const char *path)
{
    struct clients clients = clients_load(path, false);
    uint8_t (*C)[KEY_BYTES] = sodium_allocarray(clients.count, KEY_BYTES);
    if (!C)
        die("use fewer clients", "out of memory");
    for (size_t i = 0; i < clients.count; i++)
        memcpy(C[i], clients.list[i].public, KEY_BYTES);
    add_class(name, C, clients.count);
    clients_free(clients);
}

static void prepare(const struct options *options)
{
    static uint8_t strangers[STRANGERS][KEY_BYTES];
    uint8_t secret[KEY_BYTES];
    for (int i = 0; i < STRANGERS; i++)
        crypto_box_keypair(strangers[i], secret);
    add_clients("known", options->clients);
    if (options->cold)
        add_clients("cold", options->cold);
    add_class("unknown", strangers, STRANGERS);
    if (options->raw && !(raw = fopen(options->raw, "w")))
        die("name a file that can be written", "--raw %s: %s", options->raw, strerror(errno));
}

static int connected(const struct options *options)
{
    const struct timeval patience = {PATIENCE_MS / 1000, 0};
    const struct timespec settle = {0, SETTLE_NS};
    int fd = dial(options);
    struct pollfd ready = {fd, POLLOUT, 0};
    if (fd < 0 || poll(&ready, 1, PATIENCE_MS) != 1 || ready.revents != POLLOUT || fcntl(fd, F_SETFL, 0) ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience))
        die("start the server first", "--bad-inner: no connection to %s", format_address(&options->server));
    nanosleep(&settle, NULL);
    return fd;
}

static uint64_t time_to_reset(int fd, const uint8_t *hello)
{
    uint8_t bytes[512];
    ssize_t got = 0;
    uint64_t began = now_ns();
    if (send(fd, hello, HELLO_BYTES, MSG_NOSIGNAL) == HELLO_BYTES)
        while ((got = recv(fd, bytes, sizeof bytes, 0)) > 0)
            bytes_received += (uint64_t)got;
    uint64_t lasted = now_ns() - began;
    not_reset += got == 0 || errno != ECONNRESET;
    close(fd);
    return lasted;
}

static void probe(const struct options *options, struct class *class)
{
    uint8_t inner[INNER_BYTES], hello[HELLO_BYTES];
    const struct ephemeral *ephemeral = ephemerals_next();
    randombytes_buf(inner, sizeof inner);
    hello_seal_around(hello, options->S, ephemeral->E, class->C[randombytes_uniform(class->count)], inner,
                      ephemeral->dh_se);
    uint64_t lasted = time_to_reset(connected(options), hello);
    samples_add(&class->lasted, lasted);
    if (raw)
        fprintf(raw, "%s %lu\n", class->name, (unsigned long)lasted);
}

/* Classes are drawn, not taken in turn: what one leaves in the caches must not always meet the same next. */
void probe_run(const struct options *options, const volatile sig_atomic_t *stop)
{
    if (!options->bad_inner)
        return;
    prepare(options);
    for (unsigned i = 0; i < options->bad_inner && !*stop; i++)
        probe(options, &classes[randombytes_uniform(class_count)]);
    if (raw && fclose(raw))
        die("make room on the disk", "--raw %s: %s", options->raw, strerror(errno));
}

uint64_t probe_report(FILE *out)
{
    if (!class_count)
        return 0;
    fprintf(out, ", \"bad_inner\": {\"not_reset\": %u, \"bytes_received\": %lu", not_reset,
            (unsigned long)bytes_received);
    for (struct class *class = classes; class < classes + class_count; class++) {
        samples_sort(&class->lasted);
        fprintf(out, ", \"%s\": {\"probes\": %zu, \"p10_ns\": %.0f, \"p50_ns\": %.0f, \"p90_ns\": %.0f}",
                class->name, class->lasted.count, samples_at(&class->lasted, 0.1),
                samples_at(&class->lasted, 0.5), samples_at(&class->lasted, 0.9));
    }
    fputc('}', out);
    return bytes_received;
}
