/* A directory that does not answer: glibc loads it as the NSS service "far". It knows nobody, and of
 * names that begin with "far" it says so only once the file that NSS_HANGS names is gone. */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum nss_status _nss_far_getpwnam_r(const char *name, struct passwd *found, char *buffer, size_t size, int *error) {
    const char *file = getenv("NSS_HANGS");
    (void)found, (void)buffer, (void)size;
    while (!strncmp(name, "far", 3) && file && !access(file, F_OK))
        usleep(10000);
    *error = ENOENT;
    return NSS_STATUS_NOTFOUND;
}
