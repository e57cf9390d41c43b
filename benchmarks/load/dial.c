#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void pace_begin(struct pace *pace, uint64_t now)
{
    if (!pace->began)
        pace->began = now;
}

uint64_t pace_due(const struct pace *pace)
{
    return pace->per_second > 0 ? pace->began + (uint64_t)((double)pace->taken * 1e9 / pace->per_second) : 0;
}

/* The port is left to connect, so that one source address can hold a port for every destination. */
static bool bind_next_source(int fd, const struct options *options)
{
    static uint32_t turn;
    const int on = 1;
    struct sockaddr_in source = {.sin_family = AF_INET};
    uint32_t span = options->source_last - options->source_first + 1;
    source.sin_addr.s_addr = htonl(options->source_first + turn++ % span);
    return setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on) == 0 &&
           bind(fd, (const struct sockaddr *)&source, sizeof source) == 0;
}

int dial(const struct options *options)
{
    const struct address *server = &options->server;
    int fd = socket(server->socket.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if ((!options->source_first || bind_next_source(fd, options)) &&
        (connect(fd, (const struct sockaddr *)&server->socket, server->size) == 0 || errno == EINPROGRESS))
        return fd;
    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

void watch(int epoll, int operation, int fd, uint32_t events, enum room room, uint32_t index)
{
    struct epoll_event wanted = {events, {.u64 = (uint64_t)room << 32 | index}};
    if (epoll_ctl(epoll, operation, fd, &wanted))
        die("use a smaller width", "epoll_ctl failed (errno %d)", errno);
}
