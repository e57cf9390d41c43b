/* The load generator: many coffer clients, honest and hostile, in one epoll loop.
 *
 * It costs less than a server (ephemerals.h says how), checks every answer, and ends with one JSON line.
 * Its keys are test keys: they lie in plain memory. README.md has the options and the fields.
 */
#include "ephemerals.h"
#include "fetch.h"
#include "load.h"
#include "outcome.h"
#include "pressure.h"
#include "probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static const char USAGE[] =
    "usage: load --connect HOST:PORT --server ID [options]\n"
    "\n"
    "  --connect HOST:PORT   the server\n"
    "  --server ID           its id: 64 hex digits or the coffer id text\n"
    "  --source FIRST-LAST   bind these IPv4 addresses in turn, 127.0.0.2-127.0.0.50 say\n"
    "  --seconds T           begin nothing after T seconds\n"
    "\n"
    "honest sessions\n"
    "  --clients FILE        who asks, and what must be answered\n"
    "  --sessions N          begin N sessions, the clients in turn; then all ends\n"
    "  --width W             at most W at once (16)\n"
    "  --rate R              begin R a second, however slow the answers; time runs from when each was due\n"
    "  --retries N           try a failed session N times more (0)\n"
    "  --deadline T          seconds after which an attempt has failed (5)\n"
    "  --ephemerals N        size of the pool of ephemeral keys (64)\n"
    "  --record FILE         append what was seen of each session\n"
    "  --first-failure       tell the first failure of each kind on stderr\n"
    "\n"
    "pressure\n"
    "  --idle N              keep N connections open that never send\n"
    "  --dribble N           keep N that send a Hello one byte a second\n"
    "  --garbage RATE        send RATE random Hellos a second\n"
    "  --bad-inner N         then time N Hellos whose inner box is wrong, of known and unknown clients\n"
    "  --cold FILE           with --bad-inner: known clients that have never fetched\n"
    "  --raw FILE            with --bad-inner: each time, a line `CLASS NANOSECONDS`\n"
    "\n"
    "Exit: 0 all went well; 1 a session failed, or strangers were given bytes; 2 wrong options or files.\n";

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

static void take_source(struct options *options, const char *text)
{
    char first[INET_ADDRSTRLEN] = "";
    struct in_addr ends[2];
    const char *dash = strchr(text, '-');
    if (dash && (size_t)(dash - text) < sizeof first)
        memcpy(first, text, (size_t)(dash - text));
    if (!dash || inet_pton(AF_INET, first, &ends[0]) != 1 || inet_pton(AF_INET, dash + 1, &ends[1]) != 1 ||
        ntohl(ends[0].s_addr) > ntohl(ends[1].s_addr) || !ends[0].s_addr)
        die("write 127.0.0.2-127.0.0.50", "--source: not two IPv4 addresses in order: %s", text);
    options->source_first = ntohl(ends[0].s_addr);
    options->source_last = ntohl(ends[1].s_addr);
}

static unsigned count_of(const char *name, const char *text, double least)
{
    double number = parse_number(name, text, least);
    if (number > 1e6 || number != (unsigned)number)
        die("see --help", "--%s: not a whole number up to a million: %s", name, text);
    return (unsigned)number;
}

enum {
    SERVER = 256, CONNECT, SOURCE, SECONDS, CLIENTS, SESSIONS, WIDTH, RATE, RETRIES, LIMIT, EPHEMERALS,
    RECORD, FIRST_FAILURE, IDLE, DRIBBLE, GARBAGE, BAD_INNER, COLD, RAW, HELP
};

static const struct option known[] = {
    {"server", 1, 0, SERVER}, {"connect", 1, 0, CONNECT}, {"source", 1, 0, SOURCE},
    {"seconds", 1, 0, SECONDS}, {"clients", 1, 0, CLIENTS}, {"sessions", 1, 0, SESSIONS},
    {"width", 1, 0, WIDTH}, {"rate", 1, 0, RATE}, {"retries", 1, 0, RETRIES}, {"deadline", 1, 0, LIMIT},
    {"ephemerals", 1, 0, EPHEMERALS}, {"record", 1, 0, RECORD}, {"first-failure", 0, 0, FIRST_FAILURE},
    {"idle", 1, 0, IDLE}, {"dribble", 1, 0, DRIBBLE}, {"garbage", 1, 0, GARBAGE},
    {"bad-inner", 1, 0, BAD_INNER}, {"cold", 1, 0, COLD}, {"raw", 1, 0, RAW}, {"help", 0, 0, HELP}, {0}};

static void take_server(struct options *options, const char *text)
{
    if (!parse_id(options->S, text))
        die("64 hex digits, or the id that `coffer-companion id` prints", "--server: not an id");
}

static void take_address(struct options *options, const char *text)
{
    if (!parse_address(&options->server, text))
        die("write HOST:PORT", "--connect: no such address: %s", text);
}

static void take_option(struct options *options, int option, const char *name)
{
    switch (option) {
    case SERVER: take_server(options, optarg); break;
    case CONNECT: take_address(options, optarg); break;
    case SOURCE: take_source(options, optarg); break;
    case SECONDS: options->seconds = parse_number(name, optarg, 0.001); break;
    case CLIENTS: options->clients = optarg; break;
    case SESSIONS: options->sessions = (uint64_t)parse_number(name, optarg, 1); break;
    case WIDTH: options->width = count_of(name, optarg, 1); break;
    case RATE: options->rate = parse_number(name, optarg, 0.001); break;
    case RETRIES: options->retries = count_of(name, optarg, 0); break;
    case LIMIT: options->deadline_seconds = parse_number(name, optarg, 0.001); break;
    case EPHEMERALS: options->ephemerals = count_of(name, optarg, 1); break;
    case RECORD: options->record = optarg; break;
    case FIRST_FAILURE: options->first_failure = true; break;
    case IDLE: options->idle = count_of(name, optarg, 0); break;
    case DRIBBLE: options->dribble = count_of(name, optarg, 0); break;
    case GARBAGE: options->garbage = parse_number(name, optarg, 0); break;
    case BAD_INNER: options->bad_inner = count_of(name, optarg, 1); break;
    case COLD: options->cold = optarg; break;
    case RAW: options->raw = optarg; break;
    case HELP: fputs(USAGE, stdout); exit(0);
    default: exit(2);
    }
}

static void check(const struct options *options, bool has_server)
{
    if (!has_server || !options->server.size)
        die("see --help", "--connect and --server are needed");
    if (!options->clients && !options->idle && !options->dribble && options->garbage == 0)
        die("give --clients, --idle, --dribble or --garbage", "nothing to do");
    if (!options->clients && (options->sessions || options->bad_inner))
        die("give --clients", "--sessions and --bad-inner need clients");
    if ((options->cold || options->raw) && !options->bad_inner)
        die("give --bad-inner", "--cold and --raw belong to --bad-inner");
}

static struct options options_of(int argc, char **argv)
{
    struct options options = {.width = 16, .ephemerals = 64, .deadline_seconds = 5};
    bool has_server = false;
    for (int option, index = 0; (option = getopt_long(argc, argv, "", known, &index)) != -1;) {
        take_option(&options, option, known[index].name);
        has_server = has_server || option == SERVER;
    }
    if (optind != argc)
        die("see --help", "not an option: %s", argv[optind]);
    check(&options, has_server);
    return options;
}

static void raise_descriptors(const struct options *options)
{
    struct rlimit limit;
    rlim_t needed = 600 + (options->clients ? options->width : 0) + options->idle + options->dribble;
    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    if (needed > limit.rlim_max)
        die("ulimit -Hn", "%lu descriptors are needed, and %lu are allowed", (unsigned long)needed,
            (unsigned long)limit.rlim_max);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A signal just before the wait is seen at the next sweep. */
static void wait_and_handle(int epoll, uint64_t until)
{
    struct epoll_event events[256];
    uint64_t now = now_ns(), wait = until > now ? until - now : 0;
    const struct timespec timeout = {(time_t)(wait / 1000000000), (long)(wait % 1000000000)};
    int ready = epoll_pwait2(epoll, events, 256, &timeout, NULL);
    for (int i = 0; i < ready; i++)
        if (events[i].data.u64 >> 32 == FETCH)
            fetch_event((uint32_t)events[i].data.u64, events[i].events);
        else
            pressure_event((uint32_t)events[i].data.u64, events[i].events);
}

static void run(const struct options *options, int epoll, uint64_t began)
{
    uint64_t end = options->seconds > 0 ? began + (uint64_t)(options->seconds * 1e9) : UINT64_MAX, swept = 0;
    for (;;) {
        uint64_t now = now_ns();
        bool stopping = stop || now >= end;
        if (now >= swept + SWEEP_MS * 1000000) {
            fetch_sweep(now);
            pressure_sweep(now);
            swept = now;
        }
        fetch_fill(now, stopping);
        pressure_fill(now);
        if (fetch_done(stopping) && (stopping || options->clients))
            return;
        uint64_t due = stopping ? UINT64_MAX : fetch_due();
        wait_and_handle(epoll, earlier(earlier(due, pressure_due()), swept + SWEEP_MS * 1000000));
    }
}

static double cpu_seconds(void)
{
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (sodium_init() < 0)
        die("install a whole libsodium", "libsodium does not start");
    struct options options = options_of(argc, argv);
    raise_descriptors(&options);
    catch_signals();
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    ephemerals_make(options.ephemerals, options.S);
    fetch_prepare(&options, epoll);
    pressure_prepare(&options, epoll);
    double cpu = cpu_seconds();
    uint64_t began = now_ns();
    run(&options, epoll, began);
    double seconds = (double)(now_ns() - began) / 1e9;
    cpu = cpu_seconds() - cpu;
    probe_run(&options, &stop);
    printf("{\"cpu_seconds\": %.6f, ", cpu);
    fetch_report(stdout, seconds);
    uint64_t given_away = pressure_report(stdout, seconds);
    given_away += probe_report(stdout);
    puts("}");
    return outcome_failures() || given_away ? 1 : 0;
}
