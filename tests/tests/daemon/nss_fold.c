/* A name service like a directory's, for which ALICE and alice@corp are alice: it folds the name and
 * asks the files. Built and loaded by aliases.rs. */
#include <ctype.h>
#include <errno.h>
#include <nss.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum nss_status _nss_fold_getpwnam_r(const char *name, struct passwd *result, char *buffer,
                                     size_t size, int *error) {
  char folded[64];
  size_t length = strcspn(name, "@");
  if (length >= sizeof folded) {
    return NSS_STATUS_NOTFOUND;
  }
  for (size_t i = 0; i < length; i++) {
    folded[i] = (char)tolower((unsigned char)name[i]);
  }
  folded[length] = 0;
  FILE *file = fopen("/etc/passwd", "re");
  if (!file) {
    *error = errno;
    return NSS_STATUS_UNAVAIL;
  }
  struct passwd *row = NULL;
  int failed = 0;
  while ((failed = fgetpwent_r(file, result, buffer, size, &row)) == 0) {
    if (strcmp(row->pw_name, folded) == 0) {
      break;
    }
  }
  fclose(file);
  if (failed == ERANGE) {
    *error = ERANGE;
    return NSS_STATUS_TRYAGAIN;
  }
  return failed ? NSS_STATUS_NOTFOUND : NSS_STATUS_SUCCESS;
}
