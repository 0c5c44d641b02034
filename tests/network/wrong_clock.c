/* Preloaded, it puts a program's wall clock off by LAB_CLOCK_OFF_S seconds, as a board without a battery has it. What
 * counts from the machine's start is left alone, so that waiting works: libfaketime 0.9.10 either fakes that too, which
 * Python's locks wait on for ever, or lets Python's sleep fail. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static time_t off(void) {
    const char *said = getenv("LAB_CLOCK_OFF_S");
    return said ? (time_t)atoll(said) : 0;
}

int clock_gettime(clockid_t clock, struct timespec *found) {
    int failed = (int)syscall(SYS_clock_gettime, clock, found);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) found->tv_sec += off();
    return failed;
}

int gettimeofday(struct timeval *found, void *zone) {
    int failed = (int)syscall(SYS_gettimeofday, found, zone);
    if (!failed) found->tv_sec += off();
    return failed;
}

time_t time(time_t *kept) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (kept) *kept = now.tv_sec;
    return now.tv_sec;
}
