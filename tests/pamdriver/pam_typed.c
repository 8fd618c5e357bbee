/* A PAM module for tests that stands for a password module: a password was typed and was right. */
#include <security/pam_modules.h>

int pam_sm_authenticate(pam_handle_t *handle, int flags, int count, const char **words) {
    (void)flags;
    return pam_set_item(handle, PAM_AUTHTOK, count ? words[0] : "a password");
}

int pam_sm_setcred(pam_handle_t *handle, int flags, int count, const char **words) {
    (void)handle, (void)flags, (void)count, (void)words;
    return PAM_SUCCESS;
}
