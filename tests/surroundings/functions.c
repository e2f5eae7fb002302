/* What libc's functions do to memory counts as their caller's access, to the byte.
 *
 * For each row a first thread makes the call twice, on the buffers hit_NAME and miss_NAME. Then a second one writes the
 * last byte that the call touches of hit_NAME, and the one behind it of miss_NAME. Without an argument nothing orders
 * them: there must be one race for each hit_NAME and none for a miss_NAME (compare.py). With "ordered" the second
 * thread begins after the first one's end: no race at all. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "step.h"

#define TEXT "alpha,beta 1234"
#define ROOM 512

static char sink[ROOM], source[ROOM] = TEXT;
static char *place;
static volatile long kept; /* the results of what only reads */
static FILE *text, *null;
static int zero_fd, null_fd;

void *__memcpy_chk(void *, const void *, size_t, size_t);
void *__memmove_chk(void *, const void *, size_t, size_t);
void *__memset_chk(void *, int, size_t, size_t);
char *__strcpy_chk(char *, const char *, size_t);
char *__strncpy_chk(char *, const char *, size_t, size_t);
char *__strcat_chk(char *, const char *, size_t);
int __sprintf_chk(char *, int, size_t, const char *, ...);
int __snprintf_chk(char *, size_t, int, size_t, const char *, ...);
int __fprintf_chk(FILE *, int, const char *, ...);
ssize_t __read_chk(int, void *, size_t, size_t);
size_t __fread_chk(void *, size_t, size_t, size_t, FILE *);

static int compare(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

static int print_list(char *to, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(to, ROOM, format, ap);
    va_end(ap);
    return n;
}

/* X(name, last byte touched, call with p) */
#define MEMORY(X)                                                                                                      \
    X(memcpy_to, 10, memcpy(p, source, 11))                                                                            \
    X(memcpy_from, 10, memcpy(sink, p, 11))                                                                            \
    X(memmove_to, 10, memmove(p, source, 11))                                                                          \
    X(memmove_from, 10, memmove(sink, p, 11))                                                                          \
    X(mempcpy_to, 10, mempcpy(p, source, 11))                                                                          \
    X(memccpy_to, 5, memccpy(p, source, ',', 100))                                                                     \
    X(memccpy_from, 5, memccpy(sink, p, ',', 100))                                                                     \
    X(memset_, 20, memset(p, 'x', 21))                                                                                 \
    X(memcmp_, 30, kept = (long)memcmp(p, source, 31))                                                                 \
    X(memcmp_differs, 0, kept = (long)memcmp(p, source + 1, 31))                                                       \
    X(bcmp_, 30, kept = (long)bcmp(p, source, 31))                                                                     \
    X(memchr_found, 5, kept = (long)memchr(p, ',', 100))                                                               \
    X(memchr_not, 9, kept = (long)memchr(p, '?', 10))                                                                  \
    X(memrchr_, 19, kept = (long)memrchr(p, ',', 20))                                                                  \
    X(rawmemchr_, 5, kept = (long)rawmemchr(p, ','))                                                                   \
    X(memmem_, 9, kept = (long)memmem(p, 100, "beta", 4))                                                              \
    X(bcopy_, 10, bcopy(source, p, 11))                                                                                \
    X(bzero_, 10, bzero(p, 11))                                                                                        \
    X(explicit_bzero_, 10, explicit_bzero(p, 11))                                                                      \
    X(qsort_, 14, qsort(p, 15, 1, compare))                                                                            \
    X(wmemcpy_, 15, wmemcpy((wchar_t *)p, (wchar_t *)source, 4))                                                       \
    X(wmemset_, 15, wmemset((wchar_t *)p, L'x', 4))                                                                    \
    X(wmemcmp_, 15, kept = (long)wmemcmp((wchar_t *)p, (wchar_t *)source, 4))
#define STRINGS(X)                                                                                                     \
    X(strlen_, 15, kept = (long)strlen(p))                                                                             \
    X(strnlen_, 6, kept = (long)strnlen(p, 7))                                                                         \
    X(strcmp_, 2, kept = (long)strcmp(p, "alf"))                                                                       \
    X(strncmp_, 3, kept = (long)strncmp(p, TEXT, 4))                                                                   \
    X(strcasecmp_, 15, kept = (long)strcasecmp(p, "ALPHA,beta 1234"))                                                  \
    X(strncasecmp_, 5, kept = (long)strncasecmp(p, "ALPHA,", 6))                                                       \
    X(strchr_, 5, kept = (long)strchr(p, ','))                                                                         \
    X(strchr_not, 15, kept = (long)strchr(p, '?'))                                                                     \
    X(strrchr_, 15, kept = (long)strrchr(p, ','))                                                                      \
    X(strchrnul_, 15, kept = (long)strchrnul(p, '?'))                                                                  \
    X(strstr_, 9, kept = (long)strstr(p, "beta"))                                                                      \
    X(strcasestr_, 9, kept = (long)strcasestr(p, "BETA"))                                                              \
    X(strspn_, 5, kept = (long)strspn(p, "alph"))                                                                      \
    X(strcspn_, 5, kept = (long)strcspn(p, ","))                                                                       \
    X(strpbrk_, 5, kept = (long)strpbrk(p, ",;"))                                                                      \
    X(strdup_, 15, free(strdup(p)))                                                                                    \
    X(strndup_, 4, free(strndup(p, 5)))                                                                                \
    X(strcpy_to, 5, strcpy(p, "12345"))                                                                                \
    X(strcpy_from, 15, strcpy(sink, p))                                                                                \
    X(stpcpy_to, 5, stpcpy(p, "12345"))                                                                                \
    X(strncpy_to, 29, strncpy(p, "12345", 30))                                                                         \
    X(strcat_to, 18, strcat(p, "123"))                                                                                 \
    X(strncat_to, 17, strncat(p, "12345", 2))                                                                          \
    X(strtok_r_, 5, strtok_r(p, ",", &place))                                                                          \
    X(strtol_, 15, strtol(p + 11, NULL, 10))                                                                           \
    X(atoi_, 15, kept = (long)atoi(p + 11))                                                                            \
    X(strtod_, 15, strtod(p + 11, NULL))                                                                               \
    X(wcslen_, 19, kept = (long)wcslen((wchar_t *)p))                                                                  \
    X(wcscpy_, 19, wcscpy((wchar_t *)p, L"wide"))
#define FORMATS(X)                                                                                                     \
    X(sprintf_to, 5, sprintf(p, "%d", 12345))                                                                          \
    X(snprintf_to, 3, snprintf(p, 4, "%d", 12345))                                                                     \
    X(vsnprintf_to, 5, print_list(p, "%d", 12345))                                                                     \
    X(printf_string, 15, snprintf(sink, ROOM, "%5d %s %f", 1, p, 2.0))                                                 \
    X(printf_precise, 3, snprintf(sink, ROOM, "%.*s %d", 4, p, 2))                                                     \
    X(fprintf_string, 15, fprintf(null, "%s", p))                                                                      \
    X(sscanf_int, 3, sscanf("12", "%d", (int *)p))                                                                     \
    X(sscanf_long, 7, sscanf("x 12", "x %ld", (long *)p))                                                              \
    X(sscanf_string, 5, sscanf("12 hello", "%*d %s", p))                                                               \
    X(sscanf_set, 3, sscanf("abcz", "%[^z]", p))                                                                       \
    X(fgets_, 9, fgets(p, 10, text))                                                                                   \
    X(fread_, 9, fread(p, 5, 2, text))                                                                                 \
    X(fwrite_, 9, fwrite(p, 5, 2, null))                                                                               \
    X(fputs_, 15, fputs(p, null))
#define SYSTEM(X)                                                                                                      \
    X(read_, 99, read(zero_fd, p, 100))                                                                                \
    X(pread_, 99, pread(zero_fd, p, 100, 0))                                                                           \
    X(readv_, 99, readv(zero_fd, &(struct iovec){p, 100}, 1))                                                          \
    X(write_, 99, write(null_fd, p, 100))                                                                              \
    X(writev_, 99, writev(null_fd, &(struct iovec){p, 100}, 1))                                                        \
    X(getrandom_, 49, getentropy(p, 50))                                                                               \
    X(getcwd_, 1, (chdir("/"), getcwd(p, ROOM)))                                                                       \
    X(readlink_, 3, readlink("/proc/self/exe", p, 4))                                                                  \
    X(stat_, sizeof(struct stat) - 1, stat("/", (struct stat *)p))                                                     \
    X(fstat_, sizeof(struct stat) - 1, fstat(0, (struct stat *)p))                                                     \
    X(clock_gettime_, 15, clock_gettime(CLOCK_REALTIME, (struct timespec *)p))                                         \
    X(gettimeofday_, 15, gettimeofday((struct timeval *)p, NULL))                                                      \
    X(time_, 7, time((time_t *)p))                                                                                     \
    X(localtime_r_, sizeof(struct tm) - 1, localtime_r(&(time_t){0}, (struct tm *)p))                                  \
    X(inet_pton_, 3, inet_pton(AF_INET, "127.0.0.1", p))                                                               \
    X(inet_ntop_, 9, inet_ntop(AF_INET, &(int){0x0100007f}, p, ROOM))                                                  \
    X(poll_, 7, (*(struct pollfd *)p = (struct pollfd){null_fd, POLLOUT, 0}, poll((struct pollfd *)p, 1, 0)))          \
    X(pipe_, 7, pipe((int *)p))
/* What fortified programs call; ROOM is what the compiler knows of the buffer. */
#define FORTIFIED(X)                                                                                                   \
    X(chk_memcpy, 10, __memcpy_chk(p, source, 11, ROOM))                                                               \
    X(chk_memmove, 10, __memmove_chk(p, source, 11, ROOM))                                                             \
    X(chk_memset, 10, __memset_chk(p, 'x', 11, ROOM))                                                                  \
    X(chk_strcpy, 15, __strcpy_chk(p, source, ROOM))                                                                   \
    X(chk_strncpy, 29, __strncpy_chk(p, source, 30, ROOM))                                                             \
    X(chk_strcat, 18, __strcat_chk(p, "123", ROOM))                                                                    \
    X(chk_sprintf, 5, __sprintf_chk(p, 1, ROOM, "%d", 12345))                                                          \
    X(chk_snprintf, 3, __snprintf_chk(p, 4, 1, ROOM, "%d", 12345))                                                     \
    X(chk_printf_string, 15, __fprintf_chk(null, 1, "%s", p))                                                          \
    X(chk_read, 99, __read_chk(zero_fd, p, 100, ROOM))                                                                 \
    X(chk_fread, 9, __fread_chk(p, ROOM, 5, 2, text))
#define ROWS(X) MEMORY(X) STRINGS(X) FORMATS(X) SYSTEM(X) FORTIFIED(X)

#define BUFFERS(name, last, call)                                                                                      \
    static _Alignas(16) char hit_##name[ROOM] = TEXT;                                                                  \
    static _Alignas(16) char miss_##name[ROOM] = TEXT;
ROWS(BUFFERS)

#define CALL(name, last, call)                                                                                         \
    static void call_##name(char *p)                                                                                   \
    {                                                                                                                  \
        (void)(call);                                                                                                  \
    }
ROWS(CALL)

#define WRITE(name, last, call)                                                                                        \
    static void write_##name(void)                                                                                     \
    {                                                                                                                  \
        hit_##name[last] = 'x';                                                                                        \
        miss_##name[(last) + 1] = 'x';                                                                                 \
    }
ROWS(WRITE)

static const struct row {
    void (*call)(char *p);
    char *hit, *miss;
    void (*write)(void);
} rows[] = {
#define ROW(name, last, call) {call_##name, hit_##name, miss_##name, write_##name},
    ROWS(ROW)};
#define NROWS (sizeof rows / sizeof rows[0])

static void *first(void *row)
{
    const struct row *r = row;
    r->call(r->hit);
    r->call(r->miss);
    step_done((int)(r - rows) + 1);
    return NULL;
}

static void *second(void *row)
{
    const struct row *r = row;
    step_wait((int)(r - rows) + 1);
    r->write();
    return NULL;
}

/* A pair of threads for each row: a race that is reported may order its threads. */
static void run(const struct row *r, int ordered)
{
    pthread_t t[2];
    if (pthread_create(&t[0], NULL, first, (void *)r))
        exit(1);
    if (ordered)
        pthread_join(t[0], NULL);
    if (pthread_create(&t[1], NULL, second, (void *)r))
        exit(1);
    if (!ordered)
        pthread_join(t[0], NULL);
    pthread_join(t[1], NULL);
}

int main(int argc, char **argv)
{
    (void)argv;
    text = tmpfile();
    for (int i = 0; i < 1000; i++)
        fputc('a', text);
    rewind(text);
    null = fopen("/dev/null", "w");
    zero_fd = open("/dev/zero", O_RDONLY);
    null_fd = open("/dev/null", O_WRONLY);
    for (unsigned i = 0; i < NROWS; i++)
        run(&rows[i], argc > 1);
    return 0;
}
