/* Preloaded into pamdriver, it makes calls fail that the module makes, and nobody else's:
 *
 *   FAULT="NAME FIRST COUNT ERRNO"   of the module's calls of NAME the one numbered FIRST, from 1, and
 *                                    those after it, COUNT in all (0: for ever), fail with ERRNO;
 *                                    send and recv with ERRNO 0 move a single byte instead
 *   FAULT_TOLD=PATH                  where the number of calls that failed is written at the end
 *
 * NAME is that of the C function; `memory` is every way to ask for some, and `getenv` every way to ask for
 * a variable of the environment, which is not there then. `stopped` is recv in a process that is stopped
 * while it waits: it is interrupted, ERRNO seconds later, when there is something to read. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static char wanted[32];
static long first, count, error, calls, faults, later;

__attribute__((constructor)) static void read_fault(void) {
    const char *fault = getenv("FAULT");
    if (fault && sscanf(fault, "%31s %ld %ld %ld", wanted, &first, &count, &error) != 4)
        abort();
}

__attribute__((destructor)) static void tell(void) {
    const char *path = getenv("FAULT_TOLD");
    FILE *file = path ? fopen(path, "w") : NULL;
    if (file) {
        fprintf(file, "%ld", faults);
        fclose(file);
    }
}

/* Whether this call of the module's, made from `caller`, is to fail. */
static int strikes(const char *name, const void *caller) {
    Dl_info found;
    if (strcmp(name, wanted) || !dladdr(caller, &found) || !found.dli_fname ||
        !strstr(found.dli_fname, "pam_otp"))
        return 0;
    calls++;
    if (calls < first || (count && calls >= first + count))
        return 0;
    faults++;
    errno = (int)error;
    return 1;
}

#define STRIKES(name) strikes(name, __builtin_return_address(0))
#define NEXT(name, ...) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))(__VA_ARGS__)
#define MAY_FAIL(name, parameters, ...)                                                            \
    int name parameters {                                                                          \
        if (STRIKES(#name))                                                                        \
            return -1;                                                                             \
        return NEXT(name, __VA_ARGS__);                                                            \
    }

MAY_FAIL(socket, (int domain, int type, int protocol), domain, type, protocol)
MAY_FAIL(connect, (int fd, const struct sockaddr *address, socklen_t length), fd, address, length)
MAY_FAIL(getsockopt, (int fd, int level, int name, void *value, socklen_t *length), fd, level, name,
         value, length)
MAY_FAIL(setsockopt, (int fd, int level, int name, const void *value, socklen_t length), fd, level,
         name, value, length)
MAY_FAIL(statx, (int fd, const char *path, int flags, unsigned mask, struct statx *found), fd, path,
         flags, mask, found)

int getsid(pid_t process) {
    return STRIKES("getsid") ? -1 : (int)syscall(SYS_getsid, process);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = STRIKES("clock_gettime") ? -1 : (int)syscall(SYS_clock_gettime, clock, now);
    if (result == 0)
        now->tv_sec += later;
    return result;
}

/* The kernel closes a descriptor whatever it answers. */
int close(int fd) {
    int strike = STRIKES("close"), result = (int)syscall(SYS_close, fd);
    if (strike)
        errno = (int)error;
    return strike ? -1 : result;
}

/* A variable that is not set is no error; that it was asked for is. */
char *getenv(const char *name) {
    return STRIKES("getenv") ? NULL : NEXT(getenv, name);
}

char *secure_getenv(const char *name) {
    return STRIKES("getenv") ? NULL : NEXT(secure_getenv, name);
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) {
    int strike = STRIKES("send");
    if (strike && error)
        return -1;
    return NEXT(send, fd, bytes, strike ? 1 : length, flags);
}

ssize_t recv(int fd, void *bytes, size_t length, int flags) {
    if (STRIKES("stopped")) {
        struct pollfd reply = {fd, POLLIN, 0};
        poll(&reply, 1, -1);
        later += error;
        errno = EINTR;
        return -1;
    }
    int strike = STRIKES("recv");
    if (strike && error)
        return -1;
    return NEXT(recv, fd, bytes, strike ? 1 : length, flags);
}

#ifndef WITHOUT_MEMORY /* a sanitizer has its own */
void *malloc(size_t size) {
    return STRIKES("memory") ? NULL : __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
    return STRIKES("memory") ? NULL : __libc_calloc(number, size);
}

void *realloc(void *old, size_t size) {
    return STRIKES("memory") ? NULL : __libc_realloc(old, size);
}

int posix_memalign(void **found, size_t alignment, size_t size) {
    if (STRIKES("memory"))
        return ENOMEM;
    *found = __libc_memalign(alignment, size);
    return *found ? 0 : ENOMEM;
}
#endif
