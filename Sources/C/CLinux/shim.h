// What the Glibc module does not show: epoll without its pointer union, accept4, signalfd, eventfd, prctl.
#pragma once
// The system's declarations stay with Swift's own module, for which they are named first; else a file that imports only
// Glibc would lose those that another module has included.
#if __has_include(<SwiftGlibc.h>)
#include <malloc.h>
#include <SwiftGlibc.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// struct epoll_event holds a pointer in a union, which Swift counts as unsafe: this is the same layout in integers.
typedef struct __attribute__((packed)) {
  uint32_t events;
  uint64_t data;
} linux_epoll_event;
_Static_assert(sizeof(linux_epoll_event) == sizeof(struct epoll_event), "the layouts must agree");

static const uint32_t LINUX_EPOLLIN = EPOLLIN, LINUX_EPOLLOUT = EPOLLOUT, LINUX_EPOLLERR = EPOLLERR,
                      LINUX_EPOLLHUP = EPOLLHUP, LINUX_EPOLLRDHUP = EPOLLRDHUP, LINUX_EPOLLET = EPOLLET,
                      LINUX_EPOLLEXCLUSIVE = EPOLLEXCLUSIVE;

static inline int linux_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }
static inline int linux_epoll_add(int epfd, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &event);
}
static inline int linux_epoll_modify(int epfd, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  return epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &event);
}
static inline int linux_epoll_remove(int epfd, int fd) { return epoll_ctl(epfd, EPOLL_CTL_DEL, fd, NULL); }
static inline int linux_epoll_wait(int epfd, linux_epoll_event *events, int capacity, int timeout_ms) {
  return epoll_wait(epfd, (struct epoll_event *)events, capacity, timeout_ms);
}
static inline int linux_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
static inline int linux_accept(int fd, struct sockaddr_storage *address, socklen_t *length) {
  // accept4 is declared for _GNU_SOURCE only, which would make this module disagree with Swift's own Glibc.
  return (int)syscall(SYS_accept4, fd, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
static inline int linux_signalfd(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}
// Blocks the signals in the calling thread and in every thread that it starts from then on.
static inline int linux_block_signals(const int *signals, int count) {
  sigset_t set;
  sigemptyset(&set);
  for (int i = 0; i < count; i++) sigaddset(&set, signals[i]);
  return pthread_sigmask(SIG_BLOCK, &set, NULL);
}
// The number of the next pending signal, 0 when there is none, -1 with errno set on failure.
static inline int linux_read_signal(int fd) {
  struct signalfd_siginfo info;
  ssize_t n = read(fd, &info, sizeof info);
  if (n == (ssize_t)sizeof info) return (int)info.ssi_signo;
  return (n < 0 && errno == EAGAIN) ? 0 : -1;
}
static inline int64_t linux_boottime_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static inline int64_t linux_realtime_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
static inline int64_t linux_realtime_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}
static inline int linux_open_null(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
static inline int linux_name_thread(const char *name) { return prctl(PR_SET_NAME, name, 0, 0, 0); }
static inline int linux_set_dumpable(int on) { return prctl(PR_SET_DUMPABLE, on, 0, 0, 0); }
static inline ssize_t linux_send2(int fd, const void *a, size_t an, const void *b, size_t bn) {
  struct iovec parts[2] = {{(void *)a, an}, {(void *)b, bn}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  return sendmsg(fd, &message, MSG_NOSIGNAL);
}
// Bytes that were sent and that the peer has not acknowledged; -1 on failure.
static inline int linux_unacknowledged(int fd) {
  int count = 0;
  return ioctl(fd, SIOCOUTQ, &count) == 0 ? count : -1;
}
// Gives the calling thread a table of descriptors of its own; for tests that use all of them up.
static inline int linux_unshare_files(void) { return (int)syscall(SYS_unshare, 0x400 /* CLONE_FILES */); }

// A pipe for socket data on its way between sockets, without blocking, and with room for `room` bytes where the user may
// have that much.
static inline int linux_pipe(int *ends, int room) {
  if (syscall(SYS_pipe2, ends, O_CLOEXEC | O_NONBLOCK) != 0) return -1;
  fcntl(ends[1], 1031 /* F_SETPIPE_SZ */, room);
  return 0;
}
// splice(2), declared for _GNU_SOURCE only like accept4.
extern ssize_t linux_splice_call(int in, void *, int out, void *, size_t, unsigned) __asm__("splice");
static inline ssize_t linux_splice(int in, int out, size_t count) {
  return linux_splice_call(in, 0, out, 0, count, 3 /* SPLICE_F_MOVE | SPLICE_F_NONBLOCK */);
}

// Sends one packet, with a descriptor when `passed` is none below 0.
static inline ssize_t linux_send_packet(int fd, const void *bytes, size_t count, int passed) {
  struct iovec part = {(void *)bytes, count};
  union { char bytes[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } control = {{0}};
  struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
  if (passed >= 0) {
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof control.bytes;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    __builtin_memcpy(CMSG_DATA(header), &passed, sizeof(int));
  }
  return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}
// Receives one packet and the descriptor that came with it, -1 for none; more than one are closed. A packet that does not
// fit is an error, EMSGSIZE.
static inline ssize_t linux_receive_packet(int fd, void *bytes, size_t capacity, int *passed) {
  struct iovec part = {bytes, capacity};
  union { char bytes[CMSG_SPACE(4 * sizeof(int))]; struct cmsghdr align; } control;
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
  *passed = -1;
  ssize_t count = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (count < 0) return count;
  for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    size_t descriptors = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < descriptors; i++) {
      int descriptor;
      __builtin_memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      if (*passed < 0) *passed = descriptor; else close(descriptor);
    }
  }
  if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
    if (*passed >= 0) close(*passed);
    *passed = -1;
    errno = EMSGSIZE;
    return -1;
  }
  return count;
}
// Whose process the other end of a Unix socket is, as the kernel says: 0, or -1 with errno set.
static inline int linux_peer(int fd, int32_t *process, uint32_t *user) {
  // struct ucred is declared for _GNU_SOURCE only.
  struct { int32_t process; uint32_t user, group; } peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
  *process = peer.process;
  *user = peer.user;
  return 0;
}
// Starts a program with standard input, output and error and no other descriptor, and with signals as a shell gives them;
// the number of an error, or 0. glibc declares the closing of descriptors for _GNU_SOURCE only.
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
static inline int linux_start_program(
    int32_t *process, const char *path, char *const *arguments, char *const *environment) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  sigset_t none, all;
  sigemptyset(&none);
  sigfillset(&all);
  if (posix_spawn_file_actions_init(&actions) != 0) return ENOMEM;
  if (posix_spawnattr_init(&attributes) != 0) {
    posix_spawn_file_actions_destroy(&actions);
    return ENOMEM;
  }
  int result = posix_spawn_file_actions_addclosefrom_np(&actions, 3);
  if (result == 0) result = posix_spawnattr_setsigmask(&attributes, &none);
  if (result == 0) result = posix_spawnattr_setsigdefault(&attributes, &all);
  if (result == 0) result = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t started = 0;
  if (result == 0) result = posix_spawn(&started, path, &actions, &attributes, arguments, environment);
  *process = started;
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  return result;
}
