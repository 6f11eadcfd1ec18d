// A disk that fails under a gateway's store, and under nothing else: loaded into the gateway by LD_PRELOAD, told what to do
// by the test through the file that GATEWAY_DISK names. GATEWAY_DISK_STORE is the store's path; what SQLite keeps beside it
// is on that disk too, the lock file is not.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// The layout that FailingDisk.swift writes and reads: 64-bit words in this order.
struct disk {
  // Error numbers that calls fail with; 0: they don't.
  uint64_t write_error;
  uint64_t sync_error;
  uint64_t read_error;
  // What a write does before it fails or instead: writes half of what it is given if that is more than one byte.
  uint64_t writes_half;
  // Writes say that they have written nothing.
  uint64_t writes_nothing;
  // How many calls went wrong.
  uint64_t failed_writes;
  uint64_t failed_syncs;
  uint64_t failed_reads;
  uint64_t half_writes;
};

static struct disk none;
static struct disk *disk = &none;
static char store[4096];
static size_t store_length;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("GATEWAY_DISK"), *name = getenv("GATEWAY_DISK_STORE");
  int fd = path && name ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (fd < 0) return;
  void *shared = mmap(NULL, sizeof *disk, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (shared == MAP_FAILED) return;
  store_length = strlen(name);
  if (store_length >= sizeof store) return;
  memcpy(store, name, store_length);
  disk = shared;
}

static uint64_t told(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }

static int is_on_disk(int fd) {
  if (!store_length) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < (ssize_t)store_length || memcmp(path, store, store_length) != 0) return 0;
  path[length] = 0;
  const char *rest = path + store_length;
  return !*rest || !strcmp(rest, "-wal") || !strcmp(rest, "-shm") || !strcmp(rest, "-journal");
}

static int fails(const uint64_t *error, uint64_t *count, int fd) {
  uint64_t number = told(error);
  if (!number || !is_on_disk(fd)) return 0;
  __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
  errno = (int)number;
  return 1;
}

// How much of a write is to be done; -1: it has failed, with errno.
static ssize_t writable(int fd, size_t size) {
  if (told(&disk->writes_half) && size > 1 && is_on_disk(fd)) {
    __atomic_fetch_add(&disk->half_writes, 1, __ATOMIC_RELAXED);
    return (ssize_t)(size / 2);
  }
  if (told(&disk->writes_nothing) && is_on_disk(fd)) {
    __atomic_fetch_add(&disk->failed_writes, 1, __ATOMIC_RELAXED);
    return 0;
  }
  return fails(&disk->write_error, &disk->failed_writes, fd) ? -1 : (ssize_t)size;
}

ssize_t write(int fd, const void *buffer, size_t size) {
  ssize_t count = writable(fd, size);
  return count < 0 || (count == 0 && size > 0) ? count : syscall(SYS_write, fd, buffer, count);
}

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset) {
  ssize_t count = writable(fd, size);
  return count < 0 || (count == 0 && size > 0) ? count : syscall(SYS_pwrite64, fd, buffer, count, offset);
}

ssize_t pwrite64(int fd, const void *buffer, size_t size, off64_t offset) { return pwrite(fd, buffer, size, offset); }

ssize_t read(int fd, void *buffer, size_t size) {
  return fails(&disk->read_error, &disk->failed_reads, fd) ? -1 : syscall(SYS_read, fd, buffer, size);
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset) {
  return fails(&disk->read_error, &disk->failed_reads, fd) ? -1 : syscall(SYS_pread64, fd, buffer, size, offset);
}

ssize_t pread64(int fd, void *buffer, size_t size, off64_t offset) { return pread(fd, buffer, size, offset); }

int ftruncate(int fd, off_t length) {
  return fails(&disk->write_error, &disk->failed_writes, fd) ? -1 : (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate64(int fd, off64_t length) { return ftruncate(fd, length); }

int fsync(int fd) { return fails(&disk->sync_error, &disk->failed_syncs, fd) ? -1 : (int)syscall(SYS_fsync, fd); }

int fdatasync(int fd) {
  return fails(&disk->sync_error, &disk->failed_syncs, fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}
