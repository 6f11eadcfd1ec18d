// Counts what the data loops of a gateway ask of the C library: loaded into it by LD_PRELOAD, read by the test through
// the file that GATEWAY_COUNTS names. Threads that are no data loop are counted apart. Every call goes on as it came.
#define _GNU_SOURCE
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

// The layout that Counts.swift reads: 64-bit words in this order.
struct counts {
  // malloc, calloc, realloc, posix_memalign, aligned_alloc and memalign of the data loops.
  uint64_t allocations;
  // Those of them that libssl and libcrypto asked for.
  uint64_t tls_allocations;
  uint64_t other_allocations;
  uint64_t sends;
  uint64_t receives;
  uint64_t waits;
  uint64_t epoll_changes;
  uint64_t other_data_calls;
  // Of what follows only if `is_measuring`.
  uint64_t turns;
  // CPU time between two waits, in nanoseconds.
  uint64_t longest_turn;
  // Turns in which the thread gave up its CPU: it waited for a lock, a disk or a page.
  uint64_t blocked_turns;
  // Bytes that one descriptor was read in one turn.
  uint64_t largest_read;
  // Written by the test.
  uint64_t is_measuring;
  // Written by the test: so many allocations of data loops are shown on standard error with where they come from.
  uint64_t traces;
};

static struct counts unread;
static struct counts *counts = &unread;
static struct { uintptr_t start, end; } tls_library[8];
static int tls_libraries;

#define PER_THREAD static __thread __attribute__((tls_model("initial-exec")))
PER_THREAD int is_data_loop;
PER_THREAD int is_tracing;
PER_THREAD uint64_t turn_number;
PER_THREAD uint64_t turn_start;
PER_THREAD uint64_t switches_before;

#define DESCRIPTORS 65536
static struct { uint64_t turn, bytes; } reads[DESCRIPTORS];

static int find_tls_libraries(struct dl_phdr_info *info, size_t size, void *context) {
  (void)size, (void)context;
  if (!strstr(info->dlpi_name, "libssl") && !strstr(info->dlpi_name, "libcrypto")) return 0;
  for (int i = 0; i < info->dlpi_phnum && tls_libraries < 8; i++) {
    if (info->dlpi_phdr[i].p_type != PT_LOAD || !(info->dlpi_phdr[i].p_flags & PF_X)) continue;
    uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
    tls_library[tls_libraries].start = start;
    tls_library[tls_libraries++].end = start + info->dlpi_phdr[i].p_memsz;
  }
  return 0;
}

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("GATEWAY_COUNTS");
  int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *shared = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  dl_iterate_phdr(find_tls_libraries, NULL);
  void *frames[2];
  backtrace(frames, 2);  // Loads what it needs now rather than within an allocation.
  if (shared != MAP_FAILED) counts = shared;
}

static int in_data_loop(void) {
  if (is_data_loop) return 1;
  char name[16] = "";
  prctl(PR_GET_NAME, name, 0, 0, 0);
  return is_data_loop = strncmp(name, "data-", 5) == 0;
}

#define ADD(counter, amount) __atomic_fetch_add(&counts->counter, amount, __ATOMIC_RELAXED)

static void raise_to(uint64_t *counter, uint64_t value) {
  uint64_t now = __atomic_load_n(counter, __ATOMIC_RELAXED);
  while (now < value && !__atomic_compare_exchange_n(counter, &now, value, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
}

// MARK: Memory

void *__libc_malloc(size_t);
void *__libc_calloc(size_t, size_t);
void *__libc_realloc(void *, size_t);
void *__libc_memalign(size_t, size_t);

static void note(uintptr_t caller) {
  if (is_tracing) return;
  if (!in_data_loop()) {
    ADD(other_allocations, 1);
    return;
  }
  ADD(allocations, 1);
  for (int i = 0; i < tls_libraries; i++)
    if (caller >= tls_library[i].start && caller < tls_library[i].end) ADD(tls_allocations, 1);
  if (__atomic_load_n(&counts->traces, __ATOMIC_RELAXED) == 0) return;
  ADD(traces, -1);
  is_tracing = 1;
  void *frames[24];
  int count = backtrace(frames, 24);
  write(2, "allocation\n", 11);
  backtrace_symbols_fd(frames + 2, count - 2, 2);
  is_tracing = 0;
}

#define CALLER ((uintptr_t)__builtin_return_address(0))

void *malloc(size_t size) {
  note(CALLER);
  return __libc_malloc(size);
}

void *calloc(size_t count, size_t size) {
  note(CALLER);
  return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size) {
  note(CALLER);
  return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
  note(CALLER);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
  note(CALLER);
  return __libc_memalign(alignment, size);
}

int posix_memalign(void **result, size_t alignment, size_t size) {
  note(CALLER);
  void *memory = __libc_memalign(alignment, size);
  if (!memory) return 12;  // ENOMEM
  *result = memory;
  return 0;
}

// MARK: System calls

static ssize_t received(int fd, ssize_t count) {
  if (!in_data_loop()) return count;
  ADD(receives, 1);
  if (count <= 0 || fd >= DESCRIPTORS || !__atomic_load_n(&counts->is_measuring, __ATOMIC_RELAXED)) return count;
  if (reads[fd].turn != turn_number) reads[fd].bytes = 0;
  reads[fd].turn = turn_number;
  reads[fd].bytes += count;
  raise_to(&counts->largest_read, reads[fd].bytes);
  return count;
}

ssize_t recv(int fd, void *buffer, size_t size, int flags) {
  return received(fd, syscall(SYS_recvfrom, fd, buffer, size, flags, NULL, NULL));
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) {
  return received(fd, syscall(SYS_recvmsg, fd, message, flags));
}

static ssize_t sent(ssize_t count) {
  if (in_data_loop()) ADD(sends, 1);
  return count;
}

ssize_t send(int fd, const void *buffer, size_t size, int flags) {
  return sent(syscall(SYS_sendto, fd, buffer, size, flags, NULL, 0));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  return sent(syscall(SYS_sendmsg, fd, message, flags));
}

static ssize_t moved(ssize_t count) {
  if (in_data_loop()) ADD(other_data_calls, 1);
  return count;
}

ssize_t read(int fd, void *buffer, size_t size) { return moved(syscall(SYS_read, fd, buffer, size)); }
ssize_t write(int fd, const void *buffer, size_t size) { return moved(syscall(SYS_write, fd, buffer, size)); }
ssize_t readv(int fd, const struct iovec *parts, int count) { return moved(syscall(SYS_readv, fd, parts, count)); }
ssize_t writev(int fd, const struct iovec *parts, int count) { return moved(syscall(SYS_writev, fd, parts, count)); }

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) {
  if (in_data_loop()) ADD(epoll_changes, 1);
  return syscall(SYS_epoll_ctl, epoll, operation, fd, event);
}

// Between a socket and a pipe: into the pipe counts as received, out of it as sent.
ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t size, unsigned flags) {
  ssize_t count = syscall(SYS_splice, in, in_offset, out, out_offset, size, flags);
  struct stat source;
  int is_socket = fstat(in, &source) == 0 && S_ISSOCK(source.st_mode);
  return is_socket ? received(in, count) : sent(count);
}

static uint64_t cpu_time(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static uint64_t switches(void) {
  struct rusage usage;
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nvcsw;
}

int epoll_wait(int epoll, struct epoll_event *events, int capacity, int timeout) {
  int is_counted = in_data_loop();
  int is_measured = is_counted && __atomic_load_n(&counts->is_measuring, __ATOMIC_RELAXED);
  if (is_counted) ADD(waits, 1);
  if (is_measured && turn_start) {
    raise_to(&counts->longest_turn, cpu_time() - turn_start);
    if (switches() != switches_before) ADD(blocked_turns, 1);
    ADD(turns, 1);
  }
  int count = syscall(SYS_epoll_pwait, epoll, events, capacity, timeout, NULL, 8);
  turn_number++;
  if (is_measured) {
    switches_before = switches();
    turn_start = cpu_time();
  } else {
    turn_start = 0;
  }
  return count;
}
