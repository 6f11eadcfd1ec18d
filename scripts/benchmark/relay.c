// The floor of scripts/bench: what a proxy costs that does nothing but carry bytes. Edge-triggered epoll, one thread, one
// upstream connection for each client connection, kept alive; two sends and two receives for a small request. It parses
// nothing: the first bytes from a client after bytes from the origin begin a request, and the header goes in after
// their first line.
// usage: relay PORT ORIGIN-PORT
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char header[] = "Authorization: Bearer static-token\r\n";
enum { HEADER = sizeof header - 1, ROOM = 128 << 10 };

struct pair;
struct side {
  int fd;
  struct pair *pair;
  struct side *other;
  char *unsent; // what `fd` did not take, while nothing more is read from the other side
  size_t unsent_at, unsent_left;
  int readable; // an edge that was not read to its end
  int hung_up;  // no edge comes after this one
};
struct pair {
  struct side client, origin;
  int answered, ended;
  struct pair *next_ended;
};

static char buffer[ROOM + HEADER];
static struct pair *ended;

static void end(struct pair *pair) {
  if (pair->ended) return;
  pair->ended = 1;
  close(pair->client.fd);
  close(pair->origin.fd);
  pair->next_ended = ended; // freed after the events of this turn, which may still name it
  ended = pair;
}

// Sends, and keeps what was not taken. 0 when the pair has ended.
static int put(struct side *to, const char *bytes, size_t length) {
  ssize_t sent = send(to->fd, bytes, length, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != ENOTCONN) { end(to->pair); return 0; }
    sent = 0;
  }
  if ((size_t)sent == length) return 1;
  if (!to->unsent && !(to->unsent = malloc(sizeof buffer))) { end(to->pair); return 0; }
  to->unsent_at = 0;
  to->unsent_left = length - (size_t)sent;
  memcpy(to->unsent, bytes + sent, to->unsent_left);
  return 1;
}

static void carry(struct side *from) {
  struct side *to = from->other;
  struct pair *pair = from->pair;
  while (from->readable && !to->unsent_left && !pair->ended) {
    char *bytes = buffer + HEADER;
    ssize_t got = recv(from->fd, bytes, ROOM, 0);
    if (got < 0 && errno == EAGAIN) { from->readable = 0; return; }
    if (got <= 0) { end(pair); return; }
    if (got < ROOM && !from->hung_up) from->readable = 0;
    size_t length = (size_t)got;
    if (from == &pair->origin) pair->answered = 1;
    else if (pair->answered) {
      char *line_end = memchr(bytes, '\n', length);
      if (!line_end) { end(pair); return; }
      size_t line = (size_t)(line_end - bytes) + 1;
      memmove(buffer, bytes, line);
      memcpy(buffer + line, header, HEADER);
      bytes = buffer;
      length += HEADER;
      pair->answered = 0;
    }
    if (!put(to, bytes, length)) return;
  }
}

static void flush(struct side *to) {
  if (!to->unsent_left) return;
  ssize_t sent = send(to->fd, to->unsent + to->unsent_at, to->unsent_left, MSG_NOSIGNAL);
  if (sent < 0) {
    if (errno != EAGAIN && errno != ENOTCONN) end(to->pair);
    return;
  }
  to->unsent_at += (size_t)sent;
  to->unsent_left -= (size_t)sent;
  if (!to->unsent_left) carry(to->other);
}

static void watch(int epoll, struct side *side) {
  int on = 1;
  setsockopt(side->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = side};
  epoll_ctl(epoll, EPOLL_CTL_ADD, side->fd, &event);
}

static void accept_all(int epoll, int listener, const struct sockaddr_in *origin) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    struct pair *pair = calloc(1, sizeof *pair);
    if (!pair) { close(fd); return; }
    pair->client = (struct side){.fd = fd, .pair = pair, .other = &pair->origin};
    pair->origin = (struct side){.pair = pair, .other = &pair->client};
    pair->origin.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    pair->answered = 1;
    if (connect(pair->origin.fd, (const struct sockaddr *)origin, sizeof *origin) && errno != EINPROGRESS) {
      end(pair);
      continue;
    }
    watch(epoll, &pair->client);
    watch(epoll, &pair->origin);
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  struct sockaddr_in origin = address;
  origin.sin_port = htons((uint16_t)atoi(argv[2]));
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
    perror(argv[1]);
    return 1;
  }
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  struct epoll_event events[512];
  for (;;) {
    int ready = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < ready; i++) {
      struct side *side = events[i].data.ptr;
      if (!side) { accept_all(epoll, listener, &origin); continue; }
      if (side->pair->ended) continue;
      if (events[i].events & EPOLLOUT) flush(side);
      if (events[i].events & ~(unsigned)EPOLLOUT && !side->pair->ended) {
        side->readable = 1;
        if (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) side->hung_up = 1;
        carry(side);
      }
    }
    while (ended) {
      struct pair *pair = ended;
      ended = pair->next_ended;
      free(pair->client.unsent);
      free(pair->origin.unsent);
      free(pair);
    }
  }
}
