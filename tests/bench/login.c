/* Logs in through libpam again and again, in one process, and tells what it took.
 *
 *   login CONFDIR SERVICE COUNT FIRST STEP CODES
 *
 * The nth login is of the account u(FIRST + n * STEP). Whoever is asked types what the nth line of the
 * file CODES says: the code alone, or a message with it as otpd's gateway of kind "file" writes it,
 * which is there when the prompt is. A login is from pam_start to pam_end, without the time that the
 * conversation takes. Prints as JSON the times and what the process has of memory for itself while the
 * last login's module is loaded. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <security/pam_appl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int codes;           /* the file */
static off_t next;          /* where its next line begins */
static char line[512];      /* the next line; empty when there is none yet */
static long long conversed; /* ns in the conversation of this login */
static int asked;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* One system call a login whatever the stack is, so that it counts for none of them. */
static void read_line(void) {
    ssize_t count = pread(codes, line, sizeof line - 1, next);
    if (count == -1)
        die("codes");
    line[count] = 0;
    char *end = strchr(line, '\n');
    next += end ? end - line + 1 : 0;
    if (end)
        *end = 0;
}

static char *code(void) {
    static const char before[] = "\"text\":\"";
    char *text = strstr(line, before);
    text = text ? text + sizeof before - 1 : line;
    return strndup(text, strspn(text, "0123456789"));
}

/* What goes to the system log is nobody's cost here: a machine without a log has libc write it to the
 * console, milliseconds a line. (libpam and the modules find these before libc's.) */
void syslog(int priority, const char *format, ...) { (void)priority, (void)format; }

void vsyslog(int priority, const char *format, va_list rest) { (void)priority, (void)format, (void)rest; }

void __syslog_chk(int priority, int flag, const char *format, ...) {
    (void)priority, (void)flag, (void)format;
}

void __vsyslog_chk(int priority, int flag, const char *format, va_list rest) {
    (void)priority, (void)flag, (void)format, (void)rest;
}

static int converse(int count, const struct pam_message **messages, struct pam_response **responses,
                    void *data) {
    (void)data;
    long long began = now();
    struct pam_response *array = calloc((size_t)count, sizeof *array);
    if (!array)
        return PAM_BUF_ERR;
    for (int i = 0; i < count; i++) {
        int style = messages[i]->msg_style;
        if (style != PAM_PROMPT_ECHO_ON && style != PAM_PROMPT_ECHO_OFF)
            continue;
        if (asked++)
            return PAM_CONV_ERR; /* asked again: the code was not right */
        read_line();
        array[i].resp = code();
    }
    *responses = array;
    conversed += now() - began;
    return PAM_SUCCESS;
}

static long private_kilobytes(void) {
    char row[256];
    long sum = 0, value;
    FILE *rollup = fopen("/proc/self/smaps_rollup", "re");
    if (!rollup)
        die("smaps_rollup");
    while (fgets(row, sizeof row, rollup))
        if (sscanf(row, "Private_Clean: %ld", &value) == 1 || sscanf(row, "Private_Dirty: %ld", &value) == 1)
            sum += value;
    fclose(rollup);
    return sum;
}

static int by_size(const void *one, const void *other) {
    long long a = *(const long long *)one, b = *(const long long *)other;
    return (a > b) - (a < b);
}

int main(int count, char **arguments) {
    if (count != 7) {
        fprintf(stderr, "usage: login CONFDIR SERVICE COUNT FIRST STEP CODES\n");
        return 2;
    }
    const char *confdir = arguments[1], *service = arguments[2];
    long logins = atol(arguments[3]), first = atol(arguments[4]), step = atol(arguments[5]);
    long private = 0, prompts = 0;
    long long *times = calloc((size_t)logins, sizeof *times);
    codes = open(arguments[6], O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    if (codes == -1 || !times || logins < 1)
        die("login");
    for (long nth = 0; nth < logins; nth++) {
        struct pam_conv conversation = {converse, NULL};
        pam_handle_t *handle;
        char user[32];
        snprintf(user, sizeof user, "u%ld", first + nth * step);
        asked = 0, conversed = 0;
        long long began = now();
        int result = pam_start_confdir(service, user, &conversation, confdir, &handle);
        if (result == PAM_SUCCESS)
            result = pam_authenticate(handle, 0);
        if (result != PAM_SUCCESS) {
            fprintf(stderr, "login %ld of %s by %s: %s\n", nth, user, service, pam_strerror(NULL, result));
            return 1;
        }
        long long reading = now();
        if (nth == logins - 1)
            private = private_kilobytes();
        reading = now() - reading;
        pam_end(handle, result);
        times[nth] = now() - began - conversed - reading;
        if (!asked)
            read_line();
        prompts += asked;
    }
    qsort(times, (size_t)logins, sizeof *times, by_size);
    printf("{\"count\":%ld,\"prompts\":%ld,\"p50\":%.1f,\"p99\":%.1f,\"private\":%ld}\n", logins, prompts,
           (double)times[logins / 2] / 1e3, (double)times[logins * 99 / 100] / 1e3, private);
    return 0;
}
