/* A directory that does not answer: glibc loads it as the NSS service "far". It knows nobody, and of the
 * name that is in the file NSS_HANGS it says so only once that file is gone. */
#include <errno.h>
#include <grp.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int hangs(const char *name) {
    const char *path = getenv("NSS_HANGS");
    FILE *file = path ? fopen(path, "re") : NULL;
    char line[64] = "";
    if (!file)
        return 0;
    if (!fgets(line, sizeof line, file))
        line[0] = 0;
    fclose(file);
    return !strcmp(name, line);
}

enum nss_status _nss_far_getpwnam_r(const char *name, struct passwd *found, char *buffer, size_t size, int *error) {
    (void)found, (void)buffer, (void)size;
    while (hangs(name))
        usleep(10000);
    *error = ENOENT;
    return NSS_STATUS_NOTFOUND;
}
