/* A coffer server that does only the unavoidable: the measuring stick for coffer-server's CPU per session.
 *
 * One epoll loop; the protocol, its X25519, boxes, locker and wipes, and the fewest system calls that serve
 * them. No limits, no deadlines, no log, no second try of the inner box: never put it on a network.
 */
#include "answering.h"
#include "text.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 256, CONNECTIONS_LIMIT = 65536 };

struct connection {
    struct answering session;
    uint8_t in[HELLO_BYTES + GET_BYTES], have;
    uint8_t *rest; /* what the socket did not take at once, or NULL */
    size_t rest_at, rest_size;
};

static struct connection *connections; /* by descriptor */
static int epoll, listener, epoch_timer, signals;
static unsigned long accepted, resets;

static void forget(int fd)
{
    struct connection *connection = &connections[fd];
    free(connection->rest);
    connection->rest = NULL;
    answering_end(&connection->session);
    close(fd);
}

static void reset(int fd)
{
    const struct linger abrupt = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof abrupt);
    resets++;
    forget(fd);
}

static bool keep_rest(int fd, const uint8_t *bytes, size_t size)
{
    struct connection *connection = &connections[fd];
    struct epoll_event wanted = {EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {.fd = fd}};
    connection->rest = malloc(size);
    if (!connection->rest)
        return false;
    memcpy(connection->rest, bytes, size);
    connection->rest_at = 0;
    connection->rest_size = size;
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &wanted) == 0;
}

static bool send_now(int fd, const uint8_t *bytes, size_t size)
{
    ssize_t sent = connections[fd].rest ? -1 : send(fd, bytes, size, MSG_NOSIGNAL);
    if (sent == (ssize_t)size)
        return true;
    if (connections[fd].rest)
        return false; /* the peer asks on without reading */
    if (sent < 0 && errno != EAGAIN)
        return false;
    return keep_rest(fd, bytes + (sent > 0 ? sent : 0), size - (sent > 0 ? (size_t)sent : 0));
}

static bool send_rest(int fd)
{
    struct connection *connection = &connections[fd];
    size_t left = connection->rest_size - connection->rest_at;
    ssize_t sent = send(fd, connection->rest + connection->rest_at, left, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN;
    connection->rest_at += (size_t)sent;
    if ((size_t)sent == left) {
        free(connection->rest);
        connection->rest = NULL;
    }
    return true;
}

static bool take_frames(int fd)
{
    static uint8_t out[FRAME_LIMIT_BYTES];
    struct connection *connection = &connections[fd];
    while (connection->have >= HEADER_BYTES) {
        size_t size = answering_allowed(&connection->session, connection->in), out_size;
        if (!size)
            return false;
        if (connection->have < size)
            return true;
        if (!answering_take(&connection->session, connection->in, out, &out_size) ||
            (out_size && !send_now(fd, out, out_size)))
            return false;
        connection->have -= (uint8_t)size;
        memmove(connection->in, connection->in + size, connection->have);
    }
    return true;
}

/* A short read leaves the socket empty: it is read again only when the peer has hung up behind its bytes. */
static void receive(int fd, uint32_t events)
{
    struct connection *connection = &connections[fd];
    bool hung_up = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    do {
        if (connection->session.step == ENDED && hung_up)
            return forget(fd);
        size_t room = sizeof connection->in - connection->have;
        ssize_t got = recv(fd, connection->in + connection->have, room, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0)
            return connection->session.step == ENDED ? forget(fd) : reset(fd);
        connection->have += (uint8_t)got;
        if (!take_frames(fd))
            return reset(fd);
    } while (hung_up || connection->have == sizeof connection->in);
}

static bool watch(int fd, uint32_t events)
{
    struct epoll_event wanted = {events, {.fd = fd}};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &wanted) == 0;
}

/* Registered before the first read: a rest of a reply must find the registration to change. */
static void accept_all(void)
{
    int fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        accepted++;
        if (fd >= CONNECTIONS_LIMIT || !watch(fd, EPOLLIN | EPOLLRDHUP | EPOLLET)) {
            close(fd);
            continue;
        }
        connections[fd].session.step = GREETING;
        connections[fd].have = 0;
        receive(fd, 0);
    }
}

static void listen_on(const struct address *address)
{
    const int on = 1;
    struct address bound = {.size = sizeof bound.socket};
    listener = socket(address->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) ||
        bind(listener, (const struct sockaddr *)&address->socket, address->size) ||
        listen(listener, BACKLOG) || getsockname(listener, (struct sockaddr *)&bound.socket, &bound.size))
        die("choose another port, or 0", "listening on %s: %s", format_address(address), strerror(errno));
    printf("listening on %s\n", format_address(&bound));
    fflush(stdout);
}

static struct itimerspec every(double seconds)
{
    struct timespec span = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    return (struct itimerspec){span, span};
}

static void set_up_loop(double epoch_seconds)
{
    const struct itimerspec epoch = every(epoch_seconds);
    const struct rlimit no_core = {0, 0};
    struct rlimit descriptors;
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    setrlimit(RLIMIT_CORE, &no_core);
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    signals = signalfd(-1, &ending, SFD_NONBLOCK | SFD_CLOEXEC);
    epoch_timer = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    connections = calloc(CONNECTIONS_LIMIT, sizeof *connections);
    if (!connections || timerfd_settime(epoch_timer, 0, &epoch, NULL) || !watch(signals, EPOLLIN) ||
        !watch(epoch_timer, EPOLLIN) || !watch(listener, EPOLLIN))
        die("this needs Linux and some memory", "setting up the loop: %s", strerror(errno));
}

/* False when a signal asks for the end. */
static bool handle(const struct epoll_event *event)
{
    uint64_t expirations;
    int fd = event->data.fd;
    if (fd == listener)
        accept_all();
    else if (fd == signals)
        return false;
    else if (fd == epoch_timer && read(fd, &expirations, sizeof expirations) > 0)
        answering_renew_epoch();
    else if (fd != epoch_timer && connections[fd].rest && !send_rest(fd))
        reset(fd);
    else if (fd != epoch_timer)
        receive(fd, event->events);
    return true;
}

static void serve(void)
{
    static struct epoll_event events[EVENTS];
    for (;;) {
        int ready = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < ready; i++)
            if (!handle(&events[i]))
                return;
    }
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void report(const struct rusage *before)
{
    struct rusage now;
    getrusage(RUSAGE_SELF, &now);
    double user = seconds(now.ru_utime) - seconds(before->ru_utime);
    double system = seconds(now.ru_stime) - seconds(before->ru_stime);
    struct served served = answering_served();
    double each = served.sessions ? (user + system) * 1e6 / (double)served.sessions : 0;
    printf("{\"sessions\": %lu, \"accepted\": %lu, \"key_not_found\": %lu, \"resets\": %lu, "
           "\"user_seconds\": %.6f, \"system_seconds\": %.6f, \"cpu_us_per_session\": %.3f, "
           "\"peak_memory_kib\": %ld}\n",
           served.sessions, accepted, served.unknown, resets, user, system, each, now.ru_maxrss);
}

static const char USAGE[] =
    "usage: limit --key FILE --clients FILE [--listen HOST:PORT] [--epoch SECONDS]\n"
    "\n"
    "  --key FILE          the server's secret key: a coffer key file, or 64 hex digits on a line\n"
    "  --clients FILE      clients and their bodies (README.md has the form)\n"
    "  --listen HOST:PORT  default 127.0.0.1:0; the bound address is printed\n"
    "  --epoch SECONDS     life of the ephemeral key (60, as protocol.md has it)\n"
    "\n"
    "SIGTERM and SIGINT end it with 0 and one JSON line: sessions and the CPU they cost.\n";

struct options {
    const char *key, *clients, *listen;
    double epoch_seconds;
};

static struct options options_of(int argc, char **argv)
{
    static const struct option known[] = {{"key", 1, 0, 'k'}, {"clients", 1, 0, 'c'}, {"listen", 1, 0, 'l'},
                                          {"epoch", 1, 0, 'e'}, {"help", 0, 0, 'h'}, {0}};
    struct options options = {.listen = "127.0.0.1:0", .epoch_seconds = 60};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;)
        switch (option) {
        case 'k': options.key = optarg; break;
        case 'c': options.clients = optarg; break;
        case 'l': options.listen = optarg; break;
        case 'e': options.epoch_seconds = parse_number("epoch", optarg, 0.001); break;
        case 'h': fputs(USAGE, stdout); exit(0);
        default: exit(2);
        }
    if (!options.key || !options.clients || optind != argc)
        die("see --help", "--key and --clients are needed, and nothing beside options");
    return options;
}

int main(int argc, char **argv)
{
    struct address address;
    struct rusage before;
    if (sodium_init() < 0)
        die("install a whole libsodium", "libsodium does not start");
    struct options options = options_of(argc, argv);
    if (!parse_address(&address, options.listen))
        die("write HOST:PORT", "--listen: no such address: %s", options.listen);
    answering_prepare(options.key);
    locker_fill(clients_load(options.clients, true), options.clients);
    listen_on(&address);
    set_up_loop(options.epoch_seconds);
    getrusage(RUSAGE_SELF, &before);
    serve();
    report(&before);
    answering_wipe();
    locker_wipe();
    return 0;
}
