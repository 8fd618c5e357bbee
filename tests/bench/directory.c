/* A directory of accounts u0, u1, … for measurements: it answers at once, as the memory-mapped caches
 * of nscd and sssd do, so that the figures are of the daemon and not of a search through a long
 * /etc/passwd. glibc loads it as the NSS service "bench". */
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_UID 1000000
#define MOST 10000000

static enum nss_status account(long nth, struct passwd *found, char *buffer, size_t size, int *error) {
    char name[16] = "u", digits[16];
    int length = 0;
    for (long rest = nth; rest > 0 || length == 0; rest /= 10)
        digits[length++] = (char)('0' + rest % 10);
    for (int place = 0; place < length; place++)
        name[1 + place] = digits[length - 1 - place];
    size_t needed = strlen(name) + 1;
    if (size < needed + sizeof "x" + sizeof "/" + sizeof "/bin/false") {
        *error = ERANGE;
        return NSS_STATUS_TRYAGAIN;
    }
    found->pw_name = memcpy(buffer, name, needed);
    found->pw_passwd = memcpy(buffer += needed, "x", sizeof "x");
    found->pw_gecos = found->pw_passwd;
    found->pw_dir = memcpy(buffer += sizeof "x", "/", sizeof "/");
    found->pw_shell = memcpy(buffer + sizeof "/", "/bin/false", sizeof "/bin/false");
    found->pw_uid = (uid_t)(FIRST_UID + nth);
    found->pw_gid = 65534;
    return NSS_STATUS_SUCCESS;
}

enum nss_status _nss_bench_getpwnam_r(const char *name, struct passwd *found, char *buffer, size_t size,
                                      int *error) {
    char *end;
    long nth = name[0] == 'u' && name[1] >= '0' && name[1] <= '9' ? strtol(name + 1, &end, 10) : -1;
    if (nth < 0 || nth >= MOST || *end)
        return NSS_STATUS_NOTFOUND;
    return account(nth, found, buffer, size, error);
}

enum nss_status _nss_bench_getpwuid_r(uid_t uid, struct passwd *found, char *buffer, size_t size,
                                      int *error) {
    if (uid < FIRST_UID || uid >= FIRST_UID + MOST)
        return NSS_STATUS_NOTFOUND;
    return account((long)uid - FIRST_UID, found, buffer, size, error);
}
