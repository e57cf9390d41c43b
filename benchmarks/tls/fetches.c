/* Asks a TLS server for one thing over and over: the client that the peers of coffer are measured with.
 *
 * usage: fetches PORT CA CERTIFICATE KEY WIDTH COUNT fresh|kept GREETING GREETED QUESTION ANSWER
 *
 * WIDTH threads make COUNT fetches on 127.0.0.1 together, each on a connection of its own (fresh) or each thread on
 * one (kept). A connection begins with GREETING, unless it is empty, and reads until what came ends with GREETED; a
 * fetch sends QUESTION and reads until ANSWER. A fetch is timed from its connect, or its question when kept, to its
 * answer. One JSON line: fetches, rate, p50_us, p99_us, p99_9_us. The first fetch that fails ends it with 1.
 */
#include "../load/samples.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_LIMIT = 16384, WIDTH_LIMIT = 1024 };

static struct sockaddr_in server = {.sin_family = AF_INET};
static SSL_CTX *context;
static const char *greeting, *greeted, *question, *answer;
static bool kept;
static atomic_long left;

/* samples.c gives up through this too. */
_Noreturn void die(const char *hint, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    fputs("fetches: error: ", stderr);
    vfprintf(stderr, format, values);
    fprintf(stderr, "\nhint: %s\n", hint);
    ERR_print_errors_fp(stderr);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void ask(SSL *tls, const char *said, const char *end)
{
    char heard[ANSWER_LIMIT];
    size_t size = 0, ending = strlen(end);
    if (SSL_write(tls, said, (int)strlen(said)) <= 0)
        die("look at the server's log", "the server takes no question");
    while (size < ending || memcmp(heard + size - ending, end, ending) != 0) {
        int got = SSL_read(tls, heard + size, (int)(sizeof heard - size));
        if (got <= 0)
            die("look at the server's log", "the answer does not come: %.*s", (int)size, heard);
        size += (size_t)got;
    }
}

static SSL *dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SSL *tls = SSL_new(context);
    if (fd < 0 || !tls || connect(fd, (const struct sockaddr *)&server, sizeof server))
        die("is the server there?", "no connection");
    SSL_set_fd(tls, fd);
    if (SSL_connect(tls) != 1)
        die("look at the certificates", "no handshake");
    if (*greeting)
        ask(tls, greeting, greeted);
    return tls;
}

/* Says that it goes, as TLS asks of a client (RFC 8446, 6.1) and coffer's does with Bye. */
static void hang_up(SSL *tls)
{
    SSL_shutdown(tls);
    close(SSL_get_fd(tls));
    SSL_free(tls);
}

static void *fetch_until_done(void *of_thread)
{
    struct samples *samples = of_thread;
    SSL *tls = kept ? dial() : NULL;
    while (atomic_fetch_sub(&left, 1) > 0) {
        uint64_t start = now();
        if (!kept)
            tls = dial();
        ask(tls, question, answer);
        samples_add(samples, now() - start);
        if (!kept)
            hang_up(tls);
    }
    if (kept)
        hang_up(tls);
    return NULL;
}

/* TLS 1.3 with one curve, so that the first flight of every handshake has the key share that the server takes. */
static void prepare(const char *authority, const char *certificate, const char *key)
{
    context = SSL_CTX_new(TLS_client_method());
    if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set1_groups_list(context, "P-256") != 1 ||
        SSL_CTX_load_verify_locations(context, authority, NULL) != 1 ||
        SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1)
        die("give PEM files", "no TLS with these files");
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
}

static void report(struct samples *each, unsigned width, double seconds)
{
    struct samples all = {0};
    for (unsigned thread = 0; thread < width; thread++)
        for (size_t i = 0; i < each[thread].count; i++)
            samples_add(&all, each[thread].list[i]);
    samples_sort(&all);
    printf("{\"fetches\": %zu, \"rate\": %.1f, \"p50_us\": %.1f, \"p99_us\": %.1f, \"p99_9_us\": %.1f}\n", all.count,
           (double)all.count / seconds, samples_at(&all, 0.5) / 1e3, samples_at(&all, 0.99) / 1e3,
           samples_at(&all, 0.999) / 1e3);
}

int main(int argc, char **argv)
{
    static struct samples samples[WIDTH_LIMIT];
    pthread_t threads[WIDTH_LIMIT];
    if (argc != 12)
        die("see the top of fetches.c", "11 arguments are needed");
    unsigned width = (unsigned)atoi(argv[5]);
    if (width < 1 || width > WIDTH_LIMIT)
        die("1 to 1024", "not a width: %s", argv[5]);
    server.sin_port = htons((uint16_t)atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    signal(SIGPIPE, SIG_IGN); /* a server that hangs up is told of by SSL_write */
    prepare(argv[2], argv[3], argv[4]);
    left = atol(argv[6]);
    kept = strcmp(argv[7], "kept") == 0;
    greeting = argv[8], greeted = argv[9], question = argv[10], answer = argv[11];
    uint64_t start = now();
    for (unsigned thread = 0; thread < width; thread++)
        if (pthread_create(&threads[thread], NULL, fetch_until_done, &samples[thread]))
            die("ask for less width", "no thread");
    for (unsigned thread = 0; thread < width; thread++)
        pthread_join(threads[thread], NULL);
    report(samples, width, (double)(now() - start) / 1e9);
    return 0;
}
