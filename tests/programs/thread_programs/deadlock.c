/* Two threads take two locks in different orders. */
#include <pthread.h>
#include <sched.h>

pthread_mutex_t left = PTHREAD_MUTEX_INITIALIZER, right = PTHREAD_MUTEX_INITIALIZER;

void *right_then_left(void *unused)
{
    pthread_mutex_lock(&right);
    sched_yield();
    pthread_mutex_lock(&left);
    return unused;
}

int main(void)
{
    pthread_t other;
    pthread_create(&other, 0, right_then_left, 0);
    pthread_mutex_lock(&left);
    sched_yield();
    pthread_mutex_lock(&right);
    return 0;
}
