/* Every atomic operation in every size and order gives what C11 says, with one thread and with four. Built by snarl cc, so each
 * is a call of libsnarl's; what a compiler does not emit is called by name. */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

__extension__ typedef unsigned __int128 uint128_t;

static int checked, wrong;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        checked++;                                                                                                     \
        if (!(condition)) {                                                                                            \
            wrong++;                                                                                                   \
            fprintf(stderr, "atomics.c:%d: %s\n", __LINE__, #condition);                                               \
        }                                                                                                              \
    } while (0)

#define INTERFACE(bits)                                                                                                \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile void *, int);                                             \
    void __tsan_atomic##bits##_store(volatile void *, uint##bits##_t, int);                                            \
    uint##bits##_t __tsan_atomic##bits##_exchange(volatile void *, uint##bits##_t, int);                               \
    uint##bits##_t __tsan_atomic##bits##_fetch_add(volatile void *, uint##bits##_t, int);                              \
    uint##bits##_t __tsan_atomic##bits##_fetch_sub(volatile void *, uint##bits##_t, int);                              \
    uint##bits##_t __tsan_atomic##bits##_fetch_and(volatile void *, uint##bits##_t, int);                              \
    uint##bits##_t __tsan_atomic##bits##_fetch_or(volatile void *, uint##bits##_t, int);                               \
    uint##bits##_t __tsan_atomic##bits##_fetch_xor(volatile void *, uint##bits##_t, int);                              \
    uint##bits##_t __tsan_atomic##bits##_fetch_nand(volatile void *, uint##bits##_t, int);                             \
    bool __tsan_atomic##bits##_compare_exchange_strong(volatile void *, void *, uint##bits##_t, int, int);             \
    bool __tsan_atomic##bits##_compare_exchange_weak(volatile void *, void *, uint##bits##_t, int, int);               \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(volatile void *, uint##bits##_t, uint##bits##_t, int,    \
                                                              int);

/* A value with something in every byte. */
#define PATTERN(bits, seed)                                                                                            \
    ((uint##bits##_t)((uint128_t)0x0123456789abcdefULL * (seed) << 64 | 0xfedcba9876543211ULL * (seed)))

/* By the interface, in all orders. */
#define BY_NAME(bits)                                                                                                  \
    INTERFACE(bits)                                                                                                    \
    static void by_name_##bits(int order)                                                                              \
    {                                                                                                                  \
        typedef uint##bits##_t type;                                                                                   \
        type a = PATTERN(bits, 3), b = PATTERN(bits, 5), e = 0;                                                        \
        _Alignas(sizeof(type)) struct {                                                                                \
            type before, at, after;                                                                                    \
        } s = {PATTERN(bits, 7), a, PATTERN(bits, 9)};                                                                 \
        CHECK(__tsan_atomic##bits##_load(&s.at, order) == a);                                                          \
        __tsan_atomic##bits##_store(&s.at, b, order);                                                                  \
        CHECK(s.at == b);                                                                                              \
        CHECK(__tsan_atomic##bits##_exchange(&s.at, a, order) == b && s.at == a);                                      \
        CHECK(__tsan_atomic##bits##_fetch_add(&s.at, b, order) == a && s.at == (type)(a + b));                         \
        CHECK(__tsan_atomic##bits##_fetch_sub(&s.at, b, order) == (type)(a + b) && s.at == a);                         \
        CHECK(__tsan_atomic##bits##_fetch_and(&s.at, b, order) == a && s.at == (a & b));                               \
        CHECK(__tsan_atomic##bits##_fetch_or(&s.at, a, order) == (a & b) && s.at == a);                                \
        CHECK(__tsan_atomic##bits##_fetch_xor(&s.at, b, order) == a && s.at == (a ^ b));                               \
        CHECK(__tsan_atomic##bits##_fetch_nand(&s.at, b, order) == (a ^ b) && s.at == (type) ~((a ^ b) & b));          \
        s.at = a;                                                                                                      \
        for (int failure = __ATOMIC_RELAXED; failure <= __ATOMIC_SEQ_CST; failure++) {                                 \
            e = b;                                                                                                     \
            CHECK(!__tsan_atomic##bits##_compare_exchange_strong(&s.at, &e, 1, order, failure) && e == a &&            \
                  s.at == a);                                                                                          \
            CHECK(__tsan_atomic##bits##_compare_exchange_strong(&s.at, &e, b, order, failure) && e == a && s.at == b); \
            CHECK(!__tsan_atomic##bits##_compare_exchange_weak(&s.at, &e, 1, order, failure) && e == b && s.at == b);  \
            CHECK(__tsan_atomic##bits##_compare_exchange_weak(&s.at, &e, a, order, failure) && e == b && s.at == a);   \
            CHECK(__tsan_atomic##bits##_compare_exchange_val(&s.at, b, 1, order, failure) == a && s.at == a);          \
            CHECK(__tsan_atomic##bits##_compare_exchange_val(&s.at, a, b, order, failure) == a && s.at == b);          \
            s.at = a;                                                                                                  \
        }                                                                                                              \
        CHECK(s.before == PATTERN(bits, 7) && s.after == PATTERN(bits, 9));                                            \
    }
BY_NAME(8)
BY_NAME(16)
BY_NAME(32)
BY_NAME(64)
BY_NAME(128)

/* As the compiler makes calls of it. */
#define COMPILED(bits)                                                                                                 \
    static void compiled_##bits(void)                                                                                  \
    {                                                                                                                  \
        typedef uint##bits##_t type;                                                                                   \
        static type at;                                                                                                \
        type a = PATTERN(bits, 3), b = PATTERN(bits, 5), e = b;                                                        \
        __atomic_store_n(&at, a, __ATOMIC_RELEASE);                                                                    \
        CHECK(__atomic_load_n(&at, __ATOMIC_ACQUIRE) == a);                                                            \
        CHECK(__atomic_exchange_n(&at, b, __ATOMIC_ACQ_REL) == a);                                                     \
        CHECK(__atomic_fetch_add(&at, a, __ATOMIC_RELAXED) == b);                                                      \
        CHECK(__atomic_add_fetch(&at, a, __ATOMIC_SEQ_CST) == (type)(b + a + a));                                      \
        CHECK(__atomic_sub_fetch(&at, a, __ATOMIC_SEQ_CST) == (type)(b + a));                                          \
        CHECK(__atomic_fetch_sub(&at, a, __ATOMIC_SEQ_CST) == (type)(b + a));                                          \
        CHECK(__atomic_fetch_and(&at, a, __ATOMIC_SEQ_CST) == b);                                                      \
        CHECK(__atomic_or_fetch(&at, b, __ATOMIC_SEQ_CST) == b);                                                       \
        CHECK(__atomic_fetch_xor(&at, a, __ATOMIC_SEQ_CST) == b);                                                      \
        CHECK(__atomic_nand_fetch(&at, b, __ATOMIC_SEQ_CST) == (type) ~((a ^ b) & b));                                 \
        __atomic_store_n(&at, a, __ATOMIC_SEQ_CST);                                                                    \
        CHECK(!__atomic_compare_exchange_n(&at, &e, b, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED) && e == a);          \
        CHECK(__atomic_compare_exchange_n(&at, &e, b, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED) && at == b);          \
        CHECK(__sync_val_compare_and_swap(&at, b, a) == b && at == a);                                                 \
        CHECK(!__sync_bool_compare_and_swap(&at, b, a));                                                               \
        CHECK(__sync_fetch_and_add(&at, 1) == a);                                                                      \
    }
COMPILED(8)
COMPILED(16)
COMPILED(32)
COMPILED(64)

#define THREADS 4
#define ROUNDS 20000

/* Counted by read-modify-writes in every way, and under locks made of the operations themselves. */
static struct {
    uint8_t small;
    uint64_t added, compared;
    uint128_t wide;
    int spin;
    bool flag;
    unsigned long under_spin, under_flag;
} shared;

static void *hammer(void *unused)
{
    for (int i = 0; i < ROUNDS; i++) {
        __atomic_fetch_add(&shared.small, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&shared.added, 1, __ATOMIC_ACQ_REL);
        uint64_t seen = __atomic_load_n(&shared.compared, __ATOMIC_RELAXED);
        while (
            !__atomic_compare_exchange_n(&shared.compared, &seen, seen + 1, true, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
        }
        __tsan_atomic128_fetch_add(&shared.wide, ((uint128_t)1 << 64) + 1, __ATOMIC_SEQ_CST);
        for (int free = 0;
             !__atomic_compare_exchange_n(&shared.spin, &free, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
             free = 0) {
        }
        shared.under_spin++;
        __atomic_store_n(&shared.spin, 0, __ATOMIC_RELEASE);
        while (__atomic_test_and_set(&shared.flag, __ATOMIC_ACQUIRE)) {
        }
        shared.under_flag++;
        __atomic_clear(&shared.flag, __ATOMIC_RELEASE);
    }
    return unused;
}

/* Fences order what relaxed operations publish. */
static int data, ready;
static void *publish(void *unused)
{
    data = 42;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    __atomic_store_n(&ready, 1, __ATOMIC_RELAXED);
    return unused;
}

int main(void)
{
    pthread_t threads[THREADS];
    for (int order = __ATOMIC_RELAXED; order <= __ATOMIC_SEQ_CST; order++) {
        by_name_8(order);
        by_name_16(order);
        by_name_32(order);
        by_name_64(order);
        by_name_128(order);
    }
    compiled_8();
    compiled_16();
    compiled_32();
    compiled_64();
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, hammer, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    unsigned long all = THREADS * ROUNDS;
    CHECK(shared.small == (uint8_t)all && shared.added == all && shared.compared == all);
    CHECK(shared.wide == ((uint128_t)all << 64) + all);
    CHECK(shared.under_spin == all && shared.under_flag == all);
    pthread_create(&threads[0], NULL, publish, NULL);
    while (!__atomic_load_n(&ready, __ATOMIC_RELAXED)) {
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    CHECK(data == 42);
    pthread_join(threads[0], NULL);
    printf("%d checked, %d wrong\n", checked, wrong);
    return wrong != 0;
}
