// Tells ThreadSanitizer of Swift's Mutex, which it sees only as long as nobody has to wait: the fast paths are compiled
// into the code that locks, but the contended ones are in libswiftSynchronization, which is not instrumented, and there
// the lock changes hands inside the kernel (FUTEX_LOCK_PI). Without this, every contended Mutex is reported as a race.
//
// Linked into the programs of the build, whose symbols come before the library's. Nothing is suppressed: a Mutex that
// is not held stays a race.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

void __tsan_acquire(void *address);
void __tsan_release(void *address);

typedef __attribute__((swiftcall)) void lock_function(uint32_t, __attribute__((swift_context)) void *);
typedef __attribute__((swiftcall)) void unlock_function(__attribute__((swift_context)) void *);

static void *next(const char *name) {
  void *function = dlsym(RTLD_NEXT, name);
  if (!function) abort();
  return function;
}

// Synchronization._MutexHandle._lockSlow(_: UInt32)
__attribute__((swiftcall)) void lock_slow(uint32_t thread, __attribute__((swift_context)) void *mutex) __asm__(LOCK);
__attribute__((swiftcall)) void lock_slow(uint32_t thread, __attribute__((swift_context)) void *mutex) {
  static lock_function *original;
  lock_function *function = __atomic_load_n(&original, __ATOMIC_RELAXED);
  if (!function) __atomic_store_n(&original, function = (lock_function *)next(LOCK), __ATOMIC_RELAXED);
  function(thread, mutex);
  __tsan_acquire(mutex);
}

// Synchronization._MutexHandle._unlockSlow()
__attribute__((swiftcall)) void unlock_slow(__attribute__((swift_context)) void *mutex) __asm__(UNLOCK);
__attribute__((swiftcall)) void unlock_slow(__attribute__((swift_context)) void *mutex) {
  static unlock_function *original;
  unlock_function *function = __atomic_load_n(&original, __ATOMIC_RELAXED);
  if (!function) __atomic_store_n(&original, function = (unlock_function *)next(UNLOCK), __ATOMIC_RELAXED);
  __tsan_release(mutex);
  function(mutex);
}
