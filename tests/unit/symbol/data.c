/* Fixture of test_symbol: data of every kind of birth in C. Expected: class|for people|type of the object. */
#include "mark.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define ALONE __attribute__((noinline))
/* An access of so many bytes, as a number of a mark's type. */
#define BYTES(n) (DATA + (int)(n))
#define OF(object) BYTES(sizeof(object))

#ifdef OLD_DWARF /* knows no atomic types */
#define ATOMIC ""
#else
#define ATOMIC "_Atomic "
#endif

struct account {
    char owner[24];
    long balance;
    pthread_mutex_t lock;
    struct {
        uint16_t year, day;
    } opened;
    union {
        int small;
        double large;
        char text[8];
    };
    struct account *next;
};

typedef struct {
    int count;
    short kind[3];
} entry;

struct flags {
    int before;
    unsigned ready : 1, failed : 1, level : 6;
    unsigned char plain;
    unsigned wide : 20;
};

struct message {
    unsigned length;
    char data[];
};

/* As large as the blocks below, and known to the functions that use them. */
struct job {
    int *numbers;
    unsigned long n;
};

int counter;
static volatile bool stop;
_Atomic long hits;
double rates[4][8];
entry table[8];
struct account bank;
struct flags flags;
const char *message_of_the_day;
enum colour { RED, GREEN } colour;
void (*hook)(void);
static int hidden = 1;
__thread entry per_thread[2];
static __thread unsigned long tls_plain;

ALONE static void globals(void)
{
    GLOBAL("exe:counter|counter|int", "globals/main", OF(counter), &counter);
    GLOBAL("exe:data.c:stop|stop|volatile bool", "globals/main", OF(stop), (void *)&stop);
    GLOBAL("exe:hits|hits|" ATOMIC "long", "globals/main", OF(hits), &hits);
    GLOBAL("exe:data.c:hidden|hidden|int", "globals/main", OF(hidden), &hidden);
    GLOBAL("exe:rates[][]|rates[2][5]|double", "globals/main", OF(double), &rates[2][5]);
    GLOBAL("exe:rates|rates|double[32]", "globals/main", BYTES(2 * sizeof(double)), &rates[1][0]);
    GLOBAL("exe:table[].count|table[3].count|int", "globals/main", OF(int), &table[3].count);
    GLOBAL("exe:table[].kind[]|table[3].kind[2]|short", "globals/main", OF(short), &table[3].kind[2]);
    GLOBAL("exe:table[].kind[]|table[3].kind[2]|short", "globals/main", BYTES(1), (char *)&table[3].kind[2] + 1);
    GLOBAL("exe:table[]|table[3]|entry", "globals/main", OF(entry), &table[3]);
    GLOBAL("exe:table|table|entry[8]", "globals/main", OF(table), table);
    GLOBAL("exe:bank.balance|bank.balance|long", "globals/main", OF(long), &bank.balance);
    GLOBAL("exe:bank.owner[]|bank.owner[7]|char", "globals/main", BYTES(1), &bank.owner[7]);
    GLOBAL("exe:bank.owner|bank.owner|char[24]", "globals/main", BYTES(8), bank.owner);
    GLOBAL("exe:bank.opened|bank.opened|struct {…}", "globals/main", BYTES(4), &bank.opened);
    GLOBAL("exe:bank.opened.day|bank.opened.day|uint16_t", "globals/main", BYTES(2), &bank.opened.day);
    GLOBAL("exe:bank.small|bank.small|int", "globals/main", BYTES(4), &bank.small);
    GLOBAL("exe:bank.large|bank.large|double", "globals/main", BYTES(8), &bank.large);
    GLOBAL("exe:bank.lock|bank.lock|pthread_mutex_t", "globals/main", BYTES(4), &bank.lock);
    GLOBAL("exe:bank|bank|struct account", "globals/main", BYTES(16), (char *)&bank.balance);
    GLOBAL("exe:bank.next|bank.next|struct account *", "globals/main", BYTES(8), &bank.next);
    GLOBAL("exe:flags.plain|flags.plain|unsigned char", "globals/main", BYTES(1), &flags.plain);
    char *bits = (char *)&flags + sizeof flags.before;
#define SHARING "flags.{ready,failed,level}"
    GLOBAL("exe:" SHARING "|" SHARING "|", "globals/main", BYTES(1), bits);
    GLOBAL("exe:flags.wide|flags.wide|", "globals/main", BYTES(4), bits + 4);
    GLOBAL("exe:flags|flags|struct flags", "globals/main", BYTES(4), bits);
    GLOBAL("exe:message_of_the_day|message_of_the_day|const char *", "globals/main", BYTES(8), &message_of_the_day);
    GLOBAL("exe:colour|colour|enum colour", "globals/main", OF(colour), &colour);
    GLOBAL("exe:hook|hook|function pointer", "globals/main", OF(hook), (void *)&hook);
    TLS("exe:per_thread[].count|per_thread[1].count|int", "globals/main", OF(int), &per_thread[1]);
    TLS("exe:data.c:tls_plain|tls_plain|unsigned long", "globals/main", OF(tls_plain), &tls_plain);
}

ALONE static void function_static(void)
{
    static int calls[3];
    calls[1]++;
#define CALLS "exe:data.c:function_static.calls[]|function_static.calls[1]|int"
    GLOBAL(CALLS, "function_static/main", OF(int), &calls[1]);
}

ALONE static void on_stack(int n)
{
    volatile int sum;
    entry local[4];
    sum = n;
    local[0].count = n;
    STACK("on_stack:sum|sum|volatile int", "on_stack/main", OF(sum), (void *)&sum);
    STACK("on_stack:local[].kind[]|local[2].kind[1]|short", "on_stack/main", OF(short), &local[2].kind[1]);
    __asm__ volatile("" ::"r"(&sum), "r"(local) : "memory");
}

ALONE static void *wrapped(size_t size)
{
    void *p = mark_alloc(size);
    __asm__ volatile("" ::: "memory");
    return p;
}

ALONE static void deposit(struct account *a)
{
    a->balance++;
    HEAP("account.balance|account.balance|long", "deposit/on_heap/main", BYTES(8), &a->balance);
}

ALONE static void add_up(struct job *job)
{
    job->n++;
    HEAP("numbers#1||int", "add_up/on_heap/main", BYTES(4), &job->numbers[1]);
}

ALONE static int *numbers(unsigned n)
{
    int *p = mark_alloc(n * sizeof *p);
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return p;
}

ALONE static void use_bytes(char *bytes, struct job *job)
{
    bytes[job->n] = 0;
    HEAP("wrapped#1||", "use_bytes/on_heap/main", BYTES(1), &bytes[3]);
}

ALONE static struct account **index_new(size_t n)
{
    struct account **accounts = mark_alloc(n * sizeof *accounts);
    __asm__ volatile("" ::: "memory");
    return accounts;
}

ALONE static void on_heap(void)
{
    struct account *a = mark_alloc(sizeof *a);
    HEAP("account.balance|account.balance|long", "on_heap/main", BYTES(8), &a->balance);
    HEAP("account|account|struct account", "on_heap/main", BYTES(sizeof *a), a);
    struct account *several = mark_alloc(5 * sizeof *several);
    HEAP("account[].balance|account[3].balance|long", "on_heap/main", BYTES(8), &several[3].balance);
    HEAP("account[].owner[]|account[0].owner[2]|char", "on_heap/main", BYTES(1), &several[0].owner[2]);
    struct message *m = mark_alloc(sizeof *m + 100);
    HEAP("message.length|message.length|unsigned int", "on_heap/main", BYTES(4), &m->length);
    HEAP("message.data[]|message.data[40]|char", "on_heap/main", BYTES(1), &m->data[40]);
    deposit(wrapped(sizeof(struct account)));
    struct job job = {numbers(sizeof(struct job) / sizeof(int)), 0};
    add_up(&job);
    use_bytes(wrapped(160), &job);
    struct account **accounts = index_new(sizeof(struct account));
    HEAP("index_new#1||struct account *", "on_heap/main", BYTES(8), &accounts[2]);
}

int main(void)
{
    globals();
    function_static();
    on_stack(1);
    on_heap();
    return 0;
}
