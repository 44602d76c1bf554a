/* compare is called by the C library, which main has called; a second thread waits meanwhile. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int calls;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int compare(const void *one, const void *other)
{
    calls++;
    return *(const int *)one - *(const int *)other;
}

static void *wait_for_lock(void *unused)
{
    pthread_mutex_lock(&lock);
    pthread_mutex_unlock(&lock);
    return unused;
}

int main(void)
{
    int numbers[] = {3, 1, 2};
    pthread_t thread;
    pthread_mutex_lock(&lock);
    pthread_create(&thread, NULL, wait_for_lock, NULL);
    qsort(numbers, 3, sizeof numbers[0], compare);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
    printf("%d %d %d\n", numbers[0], numbers[1], numbers[2]);
    return calls > 1 ? 0 : 1;
}
