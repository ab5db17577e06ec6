/* Loaded into a process (LD_PRELOAD): each fsync and fdatasync takes FSYNC_US microseconds longer, as on a slow disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slow(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  const char *text = getenv("FSYNC_US");
  long us = text ? atol(text) : 0;
  struct timespec left = {us / 1000000, us % 1000000 * 1000};
  int result = real(fd);
  while (nanosleep(&left, &left) != 0) {
  }
  return result;
}

int fsync(int fd) { return slow("fsync", fd); }
int fdatasync(int fd) { return slow("fdatasync", fd); }
