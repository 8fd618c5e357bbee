/* A disk that fails where a test wants it to, or with which the whole machine goes down: preloaded
 * into otpd, it stands before every operation on the files whose paths begin with DISK_UNDER.
 *
 * DISK_CONTROL is a file that the test writes and this library maps; DISK_TRACE, if given, gets every
 * change of a file as it is made. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum kind { READ = 1, WRITE = 2, SYNC = 4, LENGTH = 8, OPEN = 16, NAME = 32 };
enum what { NOTHING, FAIL_ONCE, FAIL_FROM, KILL };

/* As tests/src/disk.rs writes it. */
struct control {
    volatile uint32_t what;  /* enum what */
    volatile uint32_t kinds; /* which operations are meant and counted */
    volatile uint32_t nth;   /* from 1 */
    volatile uint32_t error; /* the errno to fail with */
    volatile uint32_t count; /* operations of those kinds since the test wrote this */
    volatile uint32_t met;   /* how many of them failed */
};

static struct control *control;
static const char *under;
static int trace = -1;
static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("DISK_CONTROL"), *changes = getenv("DISK_TRACE");
    under = getenv("DISK_UNDER");
    if (!path || !under)
        return;
    int fd = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        abort();
    control = mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED)
        abort();
    if (changes)
        trace = REAL(open)(changes, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* Whether the path is one of those; the index of the database's log is memory, not a file. */
static int ours(const char *path) {
    size_t length = strlen(path);
    return control && !strncmp(path, under, strlen(under)) && !(length > 4 && !strcmp(path + length - 4, "-shm"));
}

static int path_of(int fd, char *path, size_t size) {
    char link[32];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, size - 1);
    if (length < 0)
        return 0;
    path[length] = 0;
    return ours(path);
}

static void put(const void *bytes, size_t length) {
    if (REAL(write)(trace, bytes, length) != (ssize_t)length)
        abort();
}

/* One line a change, and the bytes of a write behind it. */
static void note(const char *what, const char *path, long long offset, const void *bytes, size_t length) {
    char line[4200];
    int size = snprintf(line, sizeof line, "%s %lld %zu %s\n", what, offset, length, path);
    put(line, (size_t)size);
    if (bytes)
        put(bytes, length);
}

/* Before an operation: 0, or the errno that it fails with. Does not return when the time has come. */
static int meet(enum kind kind) {
    if (!(control->kinds & kind) || control->what == NOTHING)
        return 0;
    uint32_t nth = __atomic_add_fetch(&control->count, 1, __ATOMIC_SEQ_CST);
    int now = control->what == FAIL_FROM ? nth >= control->nth : nth == control->nth;
    if (!now)
        return 0;
    __atomic_add_fetch(&control->met, 1, __ATOMIC_SEQ_CST);
    if (control->what == KILL)
        raise(SIGKILL);
    return (int)control->error;
}

/* Runs an operation on a descriptor: `change` is what the trace calls it, or NULL. */
#define ON_FD(fd, kind, change, offset, bytes, length, call)                                                   \
    do {                                                                                                       \
        char path[4096];                                                                                       \
        if (!control || !path_of(fd, path, sizeof path))                                                       \
            return call;                                                                                       \
        pthread_mutex_lock(&one_at_a_time);                                                                    \
        int error = meet(kind);                                                                                \
        __typeof__(call) done = -1;                                                                            \
        if (!error) {                                                                                          \
            long long place = offset;                                                                          \
            done = call;                                                                                       \
            error = errno;                                                                                     \
            if (done >= 0 && change && trace >= 0)                                                             \
                note(change, path, place, bytes, length);                                                      \
        }                                                                                                      \
        pthread_mutex_unlock(&one_at_a_time);                                                                  \
        errno = error;                                                                                         \
        return done;                                                                                           \
    } while (0)

#define HERE ((long long)lseek(fd, 0, SEEK_CUR))

ssize_t read(int fd, void *to, size_t size) { ON_FD(fd, READ, NULL, 0, NULL, 0, REAL(read)(fd, to, size)); }
ssize_t pread(int fd, void *to, size_t size, off_t at) { ON_FD(fd, READ, NULL, 0, NULL, 0, REAL(pread)(fd, to, size, at)); }
ssize_t pread64(int fd, void *to, size_t size, off64_t at) { ON_FD(fd, READ, NULL, 0, NULL, 0, REAL(pread64)(fd, to, size, at)); }
ssize_t write(int fd, const void *from, size_t size) { ON_FD(fd, WRITE, "write", HERE, from, (size_t)done, REAL(write)(fd, from, size)); }
ssize_t pwrite(int fd, const void *from, size_t size, off_t at) { ON_FD(fd, WRITE, "write", at, from, (size_t)done, REAL(pwrite)(fd, from, size, at)); }
ssize_t pwrite64(int fd, const void *from, size_t size, off64_t at) { ON_FD(fd, WRITE, "write", at, from, (size_t)done, REAL(pwrite64)(fd, from, size, at)); }
int fsync(int fd) { ON_FD(fd, SYNC, "sync", 0, NULL, 0, REAL(fsync)(fd)); }
int fdatasync(int fd) { ON_FD(fd, SYNC, "sync", 0, NULL, 0, REAL(fdatasync)(fd)); }
int ftruncate(int fd, off_t size) { ON_FD(fd, LENGTH, "length", size, NULL, 0, REAL(ftruncate)(fd, size)); }
int ftruncate64(int fd, off64_t size) { ON_FD(fd, LENGTH, "length", size, NULL, 0, REAL(ftruncate64)(fd, size)); }

/* Runs an operation on a path; `change` is what the trace calls it, or NULL. */
#define ON_PATH(path, kind, change, call)                                                                      \
    do {                                                                                                       \
        if (!ours(path))                                                                                       \
            return call;                                                                                       \
        pthread_mutex_lock(&one_at_a_time);                                                                    \
        int error = meet(kind), done = -1;                                                                     \
        if (!error) {                                                                                          \
            done = call;                                                                                       \
            error = errno;                                                                                     \
            if (done >= 0 && change && trace >= 0)                                                             \
                note(change, path, 0, NULL, 0);                                                                \
        }                                                                                                      \
        pthread_mutex_unlock(&one_at_a_time);                                                                  \
        errno = error;                                                                                         \
        return done;                                                                                           \
    } while (0)

#define MODE(flags)                                                                                            \
    ({                                                                                                         \
        mode_t given = 0;                                                                                      \
        if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                 \
            va_list rest;                                                                                      \
            va_start(rest, flags);                                                                             \
            given = va_arg(rest, mode_t);                                                                      \
            va_end(rest);                                                                                      \
        }                                                                                                      \
        given;                                                                                                 \
    })

int open(const char *path, int flags, ...) {
    mode_t mode = MODE(flags);
    ON_PATH(path, OPEN, NULL, REAL(open)(path, flags, mode));
}
int open64(const char *path, int flags, ...) {
    mode_t mode = MODE(flags);
    ON_PATH(path, OPEN, NULL, REAL(open64)(path, flags, mode));
}
int unlink(const char *path) { ON_PATH(path, NAME, "gone", REAL(unlink)(path)); }
int renameat2(int from_at, const char *from, int to_at, const char *to, unsigned flags) {
    ON_PATH(from, NAME, "renamed", REAL(renameat2)(from_at, from, to_at, to, flags));
}
