/* Two threads draw from one account. Each looks whether there is enough, says that it pays, and then takes the amount: in between, the other
   may look as well. */
#include <pthread.h>
#include <stdio.h>

static volatile int balance = 100;

static void *withdraw(void *amount)
{
    int wanted = *(int *)amount;
    if (balance >= wanted) {
        printf("paid %d\n", wanted);
        balance -= wanted;
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[2];
    int amounts[2] = {70, 60};
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, withdraw, &amounts[i]);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    printf("balance %d\n", balance);
    return balance < 0;
}
