/* Two threads count without a lock. In the usual order of threads nothing is lost; some other order loses a count, and the assertion fails. */
#include <assert.h>
#include <pthread.h>

static volatile int count;

static void *count_up(void *unused)
{
    for (int i = 0; i < 100; i++) {
        int before = count;
        for (volatile int work = 0; work < 3; work++) ;
        count = before + 1;
    }
    return unused;
}

int main(void)
{
    pthread_t other;
    pthread_create(&other, 0, count_up, 0);
    count_up(0);
    pthread_join(other, 0);
    assert(count == 200);
    return 0;
}
