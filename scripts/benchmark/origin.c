// The origin that every proxy of scripts/bench forwards to: one thread on epoll, plain and TLS, as light as it can be so
// that the processors are left to the proxies. It takes only requests with exactly one bearer Authorization and the body
// that is due, and counts what it served and what it refused (GET /stats).
// usage: origin PORT TLS-PORT CERTIFICATE KEY
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SMALL = 90, POSTED = 4096, CHUNKS = 4, CHUNK = 4096, LARGE = 10 << 20, HEAD_ROOM = 16384, STEP = 256 << 10 };

struct text {
  char *bytes;
  size_t length;
};

struct connection {
  int fd, drained, hung_up, closes;
  SSL *tls;
  size_t have;            // bytes of `in`
  size_t body_left;       // of the request that is being read
  const struct text *due; // its answer, when the body has come
  const char *out;
  size_t out_left;
  char in[HEAD_ROOM];
};

static struct text small, chunked, large, uploaded, refused, wrong, stats;
static struct { unsigned long served, refused, wrong, connections, closes; } count;
static char scratch[1 << 20];

static struct text answer(const char *status, const char *fields, size_t length) {
  struct text text;
  int head = asprintf(&text.bytes, "HTTP/1.1 %s\r\nContent-Type: text/plain\r\n%s\r\n", status, fields);
  if (head < 0) abort();
  text.length = (size_t)head + length;
  text.bytes = realloc(text.bytes, text.length + 1);
  if (!text.bytes) abort();
  memset(text.bytes + head, 'x', length);
  return text;
}

static void prepare(void) {
  char fields[64];
  snprintf(fields, sizeof fields, "Content-Length: %d\r\n", SMALL);
  small = answer("200 OK", fields, SMALL);
  snprintf(fields, sizeof fields, "Content-Length: %d\r\n", LARGE);
  large = answer("200 OK", fields, LARGE);
  uploaded = answer("200 OK", "Content-Length: 2\r\n", 2);
  refused = answer("403 Forbidden", "Content-Length: 0\r\n", 0);
  wrong = answer("400 Bad Request", "Content-Length: 0\r\n", 0);
  chunked = answer("200 OK", "Transfer-Encoding: chunked\r\n", 0);
  chunked.bytes = realloc(chunked.bytes, chunked.length + CHUNKS * (CHUNK + 16) + 16);
  if (!chunked.bytes) abort();
  for (int chunk = 0; chunk < CHUNKS; chunk++) {
    chunked.length += (size_t)sprintf(chunked.bytes + chunked.length, "%x\r\n", CHUNK);
    memset(chunked.bytes + chunked.length, 'x', CHUNK);
    memcpy(chunked.bytes + chunked.length + CHUNK, "\r\n", 2);
    chunked.length += CHUNK + 2;
  }
  memcpy(chunked.bytes + chunked.length, "0\r\n\r\n", 5);
  chunked.length += 5;
  stats.bytes = malloc(1024);
  if (!stats.bytes) abort();
}

static const struct text *show_stats(void) {
  char body[512];
  int length = snprintf(body, sizeof body,
      "{\"served\": %lu, \"refused\": %lu, \"wrong\": %lu, \"connections\": %lu, \"closes\": %lu}\n", count.served,
      count.refused, count.wrong, count.connections, count.closes);
  stats.length = (size_t)snprintf(stats.bytes, 1024,
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", length, body);
  return &stats;
}

static int is(const char *text, const char *end, const char *prefix) {
  size_t length = strlen(prefix);
  return (size_t)(end - text) >= length && strncasecmp(text, prefix, length) == 0;
}

// Reads the head that ends at `end` (its empty line included) and says what is due for it.
static void take_head(struct connection *c, const char *end) {
  int bearers = 0, odd = 0;
  const char *line = memchr(c->in, '\n', (size_t)(end - c->in));
  for (line++; line < end; line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1) {
    switch (*line | 0x20) {
    case 'a':
      if (is(line, end, "authorization:")) {
        bearers += 1;
        if (!is(line, end, "authorization: bearer ") || line[22] <= ' ') odd = 1;
      }
      break;
    case 'c':
      if (is(line, end, "content-length:")) c->body_left = strtoul(line + 15, NULL, 10);
      else if (is(line, end, "connection: close")) c->closes = 1;
      break;
    case 't':
      if (is(line, end, "transfer-encoding:")) odd = 1; // no row sends one
      break;
    }
  }
  int unasked = is(c->in, end, "GET /stats ");
  if (unasked) { c->due = show_stats(); return; }
  if (bearers != 1) { c->due = &refused; return; }
  size_t expected = 0;
  if (is(c->in, end, "GET /small ")) c->due = &small;
  else if (is(c->in, end, "GET /download ")) c->due = &large;
  else if (is(c->in, end, "POST /chunked ")) { c->due = &chunked; expected = POSTED; }
  else if (is(c->in, end, "POST /upload ")) { c->due = &uploaded; expected = LARGE; }
  else odd = 1;
  if (odd || c->body_left != expected) c->due = &wrong;
}

static void begin_answer(struct connection *c) {
  c->out = c->due->bytes;
  c->out_left = c->due->length;
  if (c->due == &refused) count.refused++;
  else if (c->due == &wrong) count.wrong++;
  else if (c->due != &stats) count.served++;
  c->due = NULL;
}

// As recv: at most `room` bytes, 0 at the end, -1 for none now (`drained`) or an error. Without a buffer they are dropped.
static ssize_t receive(struct connection *c, char *buffer, size_t room) {
  if (c->tls) {
    if (!buffer) { buffer = scratch; if (room > sizeof scratch) room = sizeof scratch; }
    int got = SSL_read(c->tls, buffer, (int)room);
    if (got > 0) return got;
    int error = SSL_get_error(c->tls, got);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) { c->drained = 1; return -1; }
    return 0;
  }
  ssize_t got = buffer ? recv(c->fd, buffer, room, 0) : recv(c->fd, NULL, room, MSG_TRUNC);
  if (got < 0) {
    c->drained = 1;
    return errno == EAGAIN ? -1 : 0;
  }
  // Until the next edge; one that came with the end of the stream has none after it.
  if (got < (ssize_t)room && !c->hung_up) c->drained = 1;
  return got;
}

static ssize_t put(struct connection *c) {
  size_t length = c->out_left < STEP ? c->out_left : STEP;
  if (!c->tls) {
    ssize_t sent = send(c->fd, c->out, length, MSG_NOSIGNAL);
    return sent < 0 && errno != EAGAIN ? 0 : sent;
  }
  int sent = SSL_write(c->tls, c->out, (int)length);
  if (sent > 0) return sent;
  int error = SSL_get_error(c->tls, sent);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? -1 : 0;
}

// Goes on as far as it goes; 0 when the connection is at its end.
static int serve(struct connection *c) {
  c->drained = 0;
  for (;;) {
    if (c->out_left) {
      ssize_t sent = put(c);
      if (sent <= 0) return sent != 0;
      c->out += sent;
      c->out_left -= (size_t)sent;
      if (c->out_left == 0 && c->closes) { count.closes++; return 0; }
      continue;
    }
    if (c->due) {
      size_t held = c->have < c->body_left ? c->have : c->body_left;
      if (held) {
        memmove(c->in, c->in + held, c->have - held);
        c->have -= held;
        c->body_left -= held;
      }
      if (c->body_left == 0) { begin_answer(c); continue; }
      if (c->drained) return 1;
      size_t room = c->body_left < STEP ? c->body_left : STEP;
      ssize_t got = receive(c, NULL, room);
      if (got <= 0) return got != 0;
      c->body_left -= (size_t)got;
      continue;
    }
    char *end = c->have ? memmem(c->in, c->have, "\r\n\r\n", 4) : NULL;
    if (end) {
      size_t length = (size_t)(end - c->in) + 4;
      take_head(c, end + 2);
      c->have -= length;
      memmove(c->in, c->in + length, c->have);
      continue;
    }
    if (c->drained) return 1;
    if (c->have == sizeof c->in) { count.wrong++; return 0; }
    ssize_t got = receive(c, c->in + c->have, sizeof c->in - c->have);
    if (got <= 0) return got != 0;
    c->have += (size_t)got;
  }
}

static int listen_on(const char *port) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
    perror(port);
    exit(1);
  }
  return fd;
}

static SSL_CTX *tls_context(const char *certificate, const char *key) {
  SSL_CTX *context = SSL_CTX_new(TLS_server_method());
  // One version and one cipher, so that every proxy has the same work.
  if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) ||
      !SSL_CTX_set_ciphersuites(context, "TLS_AES_256_GCM_SHA384") ||
      SSL_CTX_use_certificate_chain_file(context, certificate) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
    fprintf(stderr, "the certificate cannot be used\n");
    exit(1);
  }
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  return context;
}

static void accept_all(int epoll, int listener, SSL_CTX *context) {
  int fd, on = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    struct connection *c = malloc(sizeof *c);
    if (!c) { close(fd); return; }
    memset(c, 0, offsetof(struct connection, in));
    c->fd = fd;
    if (context) {
      c->tls = SSL_new(context);
      SSL_set_fd(c->tls, fd);
      SSL_set_accept_state(c->tls);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    count.connections++;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
  }
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  signal(SIGPIPE, SIG_IGN);
  prepare();
  SSL_CTX *context = tls_context(argv[3], argv[4]);
  int listeners[2] = {listen_on(argv[1]), listen_on(argv[2])};
  int epoll = epoll_create1(0);
  for (int i = 0; i < 2; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listeners[i]};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listeners[i], &event);
  }
  struct epoll_event events[512];
  for (;;) {
    int ready = epoll_wait(epoll, events, 512, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.ptr == &listeners[0]) { accept_all(epoll, listeners[0], NULL); continue; }
      if (events[i].data.ptr == &listeners[1]) { accept_all(epoll, listeners[1], context); continue; }
      struct connection *c = events[i].data.ptr;
      c->hung_up = (events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
      if (serve(c)) continue;
      if (c->tls) SSL_free(c->tls);
      close(c->fd);
      free(c);
    }
  }
}
