/* Time. time_t has 64 bits on both machines; old i386 kernels have calls with 32 bits only. */
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "system.h"

#ifdef __x86_64__
int clock_gettime(clockid_t clock, struct timespec *to) { return (int)__mini_result(CALL2(clock_gettime, clock, to)); }
int nanosleep(const struct timespec *wanted, struct timespec *left) {
    return (int)__mini_result(CALL2(nanosleep, wanted, left));
}
#else
struct wide { long long seconds, nanoseconds; };
struct narrow { long seconds, nanoseconds; };

int clock_gettime(clockid_t clock, struct timespec *to) {
    struct wide wide;
    struct narrow narrow;
    long result = CALL2(clock_gettime64, clock, &wide);
    if (result == -ENOSYS) {
        result = CALL2(clock_gettime, clock, &narrow);
        wide = (struct wide){narrow.seconds, narrow.nanoseconds};
    }
    if (result == 0) *to = (struct timespec){wide.seconds, (long)wide.nanoseconds};
    return (int)__mini_result(result);
}

int nanosleep(const struct timespec *wanted, struct timespec *left) {
    struct wide w = {wanted->tv_sec, wanted->tv_nsec}, r = {0, 0};
    long result = CALL4(clock_nanosleep_time64, CLOCK_REALTIME, 0, &w, &r);
    if (result == -ENOSYS) {
        struct narrow n = {(long)w.seconds, (long)w.nanoseconds}, m = {0, 0};
        result = CALL2(nanosleep, &n, &m);
        r = (struct wide){m.seconds, m.nanoseconds};
    }
    if (result == -EINTR && left) *left = (struct timespec){r.seconds, (long)r.nanoseconds};
    return (int)__mini_result(result);
}
#endif

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}

clock_t clock(void) {
    struct timespec used;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) < 0) return -1;
    return (clock_t)(used.tv_sec * CLOCKS_PER_SEC + used.tv_nsec / 1000);
}

int gettimeofday(struct timeval *restrict to, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    *to = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

unsigned sleep(unsigned seconds) {
    struct timespec t = {seconds, 0};
    return nanosleep(&t, &t) < 0 ? (unsigned)t.tv_sec : 0;
}

int usleep(unsigned microseconds) {
    struct timespec t = {microseconds / 1000000, (long)(microseconds % 1000000) * 1000};
    return nanosleep(&t, 0);
}

double difftime(time_t a, time_t b) { return (double)(a - b); }

/* Days since 1970-01-01 to a date: 400-year eras that begin on 1 March, so that the leap day is last. */
struct tm *gmtime_r(const time_t *restrict when, struct tm *restrict out) {
    long long days = *when / 86400, seconds = *when % 86400, era, year;
    int of_era, of_year, year_of_era, month;
    static const short before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    if (seconds < 0) seconds += 86400, days--;
    out->tm_wday = (int)((days % 7 + 11) % 7);
    days += 719468; /* from 0000-03-01 */
    era = (days >= 0 ? days : days - 146096) / 146097;
    of_era = (int)(days - era * 146097);
    year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    month = (5 * of_year + 2) / 153; /* 0 is March */
    out->tm_mday = of_year - (153 * month + 2) / 5 + 1;
    out->tm_mon = month < 10 ? month + 2 : month - 10;
    year = era * 400 + year_of_era + (out->tm_mon < 2);
    out->tm_year = (int)(year - 1900);
    out->tm_yday = before[out->tm_mon] + out->tm_mday - 1 +
                   (out->tm_mon > 1 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
    out->tm_hour = (int)(seconds / 3600);
    out->tm_min = (int)(seconds / 60 % 60);
    out->tm_sec = (int)(seconds % 60);
    out->tm_isdst = 0;
    return out;
}

struct tm *gmtime(const time_t *when) {
    static struct tm result;
    return gmtime_r(when, &result);
}
