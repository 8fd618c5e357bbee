/* A program that logs somebody in through libpam, for tests: it does what its arguments and the
 * lines on its standard input say, and tells as JSON lines what it was shown and what came out.
 *
 *   pamdriver --confdir DIR --service NAME --user NAME [--tty T] [--rhost H] [--ruser R]
 *             [--env NAME=VALUE]... [--silent] [--setsid] [--closed]
 *   pamdriver --serve PATH UID REPLY
 *
 * Each prompt takes one line of the input:
 *   reply TEXT       types TEXT                hex BYTES        types these bytes
 *   null             gives no string           fail             the conversation fails
 *   user NAME TEXT   sets PAM_USER (to nothing for "-"), then types TEXT
 * At the end of the input conversations fail. With --closed the module finds no standard streams.
 *
 * The lines go to a copy of the standard output. The module gets a file for standard output and
 * error, so that whatever it should print is counted and told. --serve listens as UID, answers the
 * first frame of one connection with REPLY, and tells how many bytes came. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <security/pam_appl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#define MOST_FDS 256

static FILE *events;             /* where the JSON lines go */
static FILE *input;              /* what is to be typed */
static pam_handle_t *handle;     /* for --user lines */
static char known_fds[MOST_FDS]; /* open before the login began */

static void die(const char *what) {
    perror(what);
    exit(3);
}

/* --- JSON lines: event("name", "key", "s", "text", "key", "n", 5L, NULL) ------------------------ */

static void text(const char *value) {
    fputc('"', events);
    for (const unsigned char *c = (const unsigned char *)value; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(events, "\\%c", *c);
        else if (*c < 0x20)
            fprintf(events, "\\u%04x", *c);
        else
            fputc(*c, events);
    }
    fputc('"', events);
}

static void event(const char *name, ...) {
    va_list rest;
    fputs("{\"event\":", events);
    text(name);
    va_start(rest, name);
    for (const char *key; (key = va_arg(rest, const char *));) {
        const char *type = va_arg(rest, const char *);
        fputc(',', events);
        text(key);
        fputc(':', events);
        if (*type == 's')
            text(va_arg(rest, const char *));
        else
            fprintf(events, "%ld", va_arg(rest, long));
    }
    va_end(rest);
    fputs("}\n", events);
    fflush(events);
}

/* --- What the module may leave behind ---------------------------------------------------------- */

static long entries(const char *directory) {
    DIR *open = opendir(directory);
    long count = -3; /* ".", ".." and, for descriptors, this one */
    if (!open)
        die(directory);
    while (readdir(open))
        count++;
    closedir(open);
    return count;
}

/* Descriptors that the module opened and that a program started now would inherit. */
static long inheritable(void) {
    long count = 0;
    for (int fd = 0; fd < MOST_FDS; fd++) {
        int flags = fcntl(fd, F_GETFD);
        count += flags != -1 && !known_fds[fd] && !(flags & FD_CLOEXEC);
    }
    return count;
}

/* Descriptors of the module's in the place of standard streams. */
static long standard(void) {
    long count = 0;
    for (int fd = 0; fd < 3; fd++)
        count += !known_fds[fd] && fcntl(fd, F_GETFD) != -1;
    return count;
}

static long dispositions(void) {
    long sum = 0;
    for (int number = 1; number < 32; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            sum += number;
    }
    return sum;
}

static long mapped(void) {
    char line[4096];
    long found = 0;
    FILE *maps = fopen("/proc/self/maps", "re");
    if (!maps)
        die("maps");
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, "pam_otp") != NULL;
    fclose(maps);
    return found;
}

static void state(const char *name, long printed) {
    mode_t mask = umask(0);
    umask(mask);
    event(name, "fds", "n", entries("/proc/self/fd"), "threads", "n", entries("/proc/self/task") + 1,
          "signals", "n", dispositions(), "umask", "n", (long)mask, "mapped", "n", mapped(),
          "printed", "n", printed, NULL);
}

/* --- libpam's way out, caught ------------------------------------------------------------------ */

static void log_line(int priority, const char *format, va_list rest) {
    char line[8192];
    vsnprintf(line, sizeof line, format, rest);
    event("log", "facility", "n", (long)(priority & LOG_FACMASK), "level", "n",
          (long)LOG_PRI(priority), "text", "s", line, NULL);
}

void syslog(int priority, const char *format, ...) {
    va_list rest;
    va_start(rest, format);
    log_line(priority, format, rest);
    va_end(rest);
}

void __syslog_chk(int priority, int flag, const char *format, ...) {
    va_list rest;
    (void)flag;
    va_start(rest, format);
    log_line(priority, format, rest);
    va_end(rest);
}

static void delay(int result, unsigned microseconds, void *data) {
    (void)result, (void)data;
    event("delay", "microseconds", "n", (long)microseconds, NULL);
}

/* --- The conversation -------------------------------------------------------------------------- */

static char *from_hex(const char *hex) {
    char *bytes = calloc(strlen(hex) / 2 + 1, 1);
    for (size_t i = 0; bytes && hex[2 * i] && hex[2 * i + 1]; i++)
        sscanf(hex + 2 * i, "%2hhx", (unsigned char *)&bytes[i]);
    return bytes;
}

static int answer(struct pam_response *response) {
    static char line[262144];
    if (!fgets(line, sizeof line, input))
        return PAM_CONV_ERR;
    line[strcspn(line, "\n")] = 0;
    if (!strcmp(line, "fail"))
        return PAM_CONV_ERR;
    if (!strcmp(line, "null"))
        return PAM_SUCCESS;
    if (!strncmp(line, "hex ", 4)) {
        response->resp = from_hex(line + 4);
        return PAM_SUCCESS;
    }
    if (!strncmp(line, "user ", 5)) {
        char *name = line + 5, *typed = strchr(name, ' ');
        if (!typed)
            exit(3);
        *typed++ = 0;
        if (pam_set_item(handle, PAM_USER, strcmp(name, "-") ? name : NULL) != PAM_SUCCESS)
            exit(3);
        response->resp = strdup(typed);
        return PAM_SUCCESS;
    }
    if (strncmp(line, "reply ", 6))
        exit(3);
    response->resp = strdup(line + 6);
    return PAM_SUCCESS;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *data) {
    (void)data;
    struct pam_response *array = calloc((size_t)count, sizeof *array);
    if (!array)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        int style = messages[i]->msg_style, result = PAM_SUCCESS;
        int asks = style == PAM_PROMPT_ECHO_ON || style == PAM_PROMPT_ECHO_OFF;
        const char *name = style == PAM_TEXT_INFO ? "info" : style == PAM_ERROR_MSG ? "error" : "prompt";
        event(name, "text", "s", messages[i]->msg, "echo", "n", (long)(style == PAM_PROMPT_ECHO_ON),
              "messages", "n", (long)count, "inheritable", "n", inheritable(),
              "standard", "n", standard(), NULL);
        if (asks)
            result = answer(&array[i]);
        if (result != PAM_SUCCESS) {
            free(array);
            return result;
        }
    }
    *responses = array;
    return PAM_SUCCESS;
}

/* --- The login --------------------------------------------------------------------------------- */

static const char *const names[] = {
    "PAM_SUCCESS", "PAM_OPEN_ERR", "PAM_SYMBOL_ERR", "PAM_SERVICE_ERR", "PAM_SYSTEM_ERR",
    "PAM_BUF_ERR", "PAM_PERM_DENIED", "PAM_AUTH_ERR", "PAM_CRED_INSUFFICIENT",
    "PAM_AUTHINFO_UNAVAIL", "PAM_USER_UNKNOWN", "PAM_MAXTRIES", "PAM_NEW_AUTHTOK_REQD",
    "PAM_ACCT_EXPIRED", "PAM_SESSION_ERR", "PAM_CRED_UNAVAIL", "PAM_CRED_EXPIRED", "PAM_CRED_ERR",
    "PAM_NO_MODULE_DATA", "PAM_CONV_ERR", "PAM_AUTHTOK_ERR", "PAM_AUTHTOK_RECOVERY_ERR",
    "PAM_AUTHTOK_LOCK_BUSY", "PAM_AUTHTOK_DISABLE_AGING", "PAM_TRY_AGAIN", "PAM_IGNORE", "PAM_ABORT",
};

static void result(const char *call, int code) {
    int known = code >= 0 && (size_t)code < sizeof names / sizeof *names;
    event("result", "call", "s", call, "name", "s", known ? names[code] : "unknown", NULL);
}

static void must(int code, const char *what) {
    if (code != PAM_SUCCESS) {
        event("failed", "call", "s", what, "code", "n", (long)code, NULL);
        exit(3);
    }
}

static int log_in(int count, char **arguments) {
    const char *confdir = NULL, *service = NULL, *user = NULL, *items[3] = {NULL, NULL, NULL};
    const char *const item_names[] = {"--tty", "--rhost", "--ruser"};
    const int item_types[] = {PAM_TTY, PAM_RHOST, PAM_RUSER};
    char *env[32];
    int flags = 0, variables = 0, closed = 0;
    for (int i = 1; i < count; i++) {
        char *word = arguments[i];
        if (!strcmp(word, "--silent")) {
            flags |= PAM_SILENT;
            continue;
        }
        if (!strcmp(word, "--setsid")) {
            if (setsid() == -1)
                die("setsid");
            continue;
        }
        if (!strcmp(word, "--closed")) {
            closed = 1;
            continue;
        }
        char *value = ++i < count ? arguments[i] : NULL;
        if (!value)
            return 2;
        if (!strcmp(word, "--confdir"))
            confdir = value;
        else if (!strcmp(word, "--service"))
            service = value;
        else if (!strcmp(word, "--user"))
            user = value;
        else if (!strcmp(word, "--env") && variables < 32)
            env[variables++] = value;
        else {
            int known = 0;
            for (int j = 0; j < 3; j++)
                if (!strcmp(word, item_names[j]))
                    items[j] = value, known = 1;
            if (!known)
                return 2;
        }
    }
    if (!confdir || !service)
        return 2;

    /* A program that took SIGPIPE at its default action must survive a daemon that hangs up. */
    signal(SIGPIPE, SIG_DFL);
    int caught = memfd_create("printed", MFD_CLOEXEC);
    if (caught == -1 || dup2(caught, 1) == -1 || dup2(caught, 2) == -1)
        die("memfd");
    if (closed && (close(0) == -1 || close(1) == -1 || close(2) == -1))
        die("close");
    for (int fd = 0; fd < MOST_FDS; fd++)
        known_fds[fd] = fcntl(fd, F_GETFD) != -1;
    state("before", 0);

    struct pam_conv conversation = {converse, NULL};
    must(pam_start_confdir(service, user, &conversation, confdir, &handle), "pam_start_confdir");
    must(pam_set_item(handle, PAM_FAIL_DELAY, (const void *)delay), "PAM_FAIL_DELAY");
    for (int j = 0; j < 3; j++)
        if (items[j])
            must(pam_set_item(handle, item_types[j], items[j]), item_names[j]);
    for (int i = 0; i < variables; i++)
        must(pam_putenv(handle, env[i]), "pam_putenv");

    event("begin", NULL);
    int code = pam_authenticate(handle, flags);
    result("authenticate", code);
    result("setcred", pam_setcred(handle, PAM_ESTABLISH_CRED | flags));
    result("acct_mgmt", pam_acct_mgmt(handle, flags));
    result("open_session", pam_open_session(handle, flags));
    result("close_session", pam_close_session(handle, flags));
    result("chauthtok", pam_chauthtok(handle, PAM_SILENT));
    pam_end(handle, code);

    struct stat size;
    if (fstat(caught, &size) == -1)
        die("fstat");
    state("after", (long)size.st_size);
    return 0;
}

/* --- A server of another user ------------------------------------------------------------------ */

static int serve(const char *path, uid_t uid, const char *reply) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (listener == -1 || bind(listener, (struct sockaddr *)&address, sizeof address) == -1)
        die("bind");
    /* The kernel notes who calls listen(2), and connecting needs the right to write. */
    if (chmod(path, 0666) == -1 || seteuid(uid) == -1 || listen(listener, 5) == -1)
        die("listen");
    event("ready", NULL);
    int peer = accept(listener, NULL, NULL);
    if (peer == -1)
        die("accept");
    long received = 0;
    for (char byte; read(peer, &byte, 1) == 1;) {
        received++;
        if (byte == 0 && write(peer, reply, strlen(reply) + 1) == -1)
            die("write");
    }
    event("received", "bytes", "n", received, NULL);
    return 0;
}

int main(int count, char **arguments) {
    int copy = fcntl(1, F_DUPFD_CLOEXEC, 3);
    events = copy == -1 ? NULL : fdopen(copy, "w");
    if (!events)
        die("standard output");
    copy = fcntl(0, F_DUPFD_CLOEXEC, 3);
    input = copy == -1 ? NULL : fdopen(copy, "r");
    if (!input)
        die("standard input");
    if (count == 5 && !strcmp(arguments[1], "--serve"))
        return serve(arguments[2], (uid_t)atol(arguments[3]), arguments[4]);
    return log_in(count, arguments);
}
