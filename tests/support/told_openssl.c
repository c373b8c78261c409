/* RAND_set_rand_method(3) is deprecated; a provider of one's own would be a file of dispatch
 * tables for the same. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "tests/support/told_openssl.h"

#include "dataplane/base/check.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/random.h"

#include <openssl/rand.h>
#include <string.h>
#include <time.h>

#define DAY_S 1893456000 /* the 1st of January 2030 */

static struct random source;
static const uint64_t *told_now_ns; /* NULL: the real time */

/* Instead of the C library's, for the whole program: OpenSSL asks it for the age of tickets. */
time_t time(time_t *out)
{
    struct timespec real;
    time_t seconds;
    if (told_now_ns != NULL) {
        seconds = (time_t)(DAY_S + *told_now_ns / CLOCK_S);
    } else {
        clock_gettime(CLOCK_REALTIME, &real);
        seconds = real.tv_sec;
    }
    if (out != NULL)
        *out = seconds;
    return seconds;
}

static int take(unsigned char *into, int count)
{
    for (int at = 0; at < count; at += 8) {
        uint64_t word = random_u64(&source);
        memcpy(into + at, &word, count - at < 8 ? (size_t)(count - at) : sizeof(word));
    }
    return 1;
}

static int is_seeded(void)
{
    return 1;
}

static const RAND_METHOD method = {.bytes = take, .pseudorand = take, .status = is_seeded};

void told_openssl_begin(uint64_t seed, const uint64_t *now_ns)
{
    random_seed(&source, seed);
    told_now_ns = now_ns;
    check(RAND_set_rand_method(&method) == 1);
}

void told_openssl_end(void)
{
    told_now_ns = NULL;
    check(RAND_set_rand_method(NULL) == 1);
}
