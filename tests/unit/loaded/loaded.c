/* A library for test_modules.c to open and close. Built twice: the same layout to the byte, another size of the one
 * frame, so that what was learnt of one is wrong for the other at the same address. */
#include <stdlib.h>

#ifndef LOADED_FRAME
#define LOADED_FRAME 72
#endif
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* Calls f from a frame of LOADED_FRAME bytes; the instructions have the longest form, so that their size does not
 * depend on it. */
void loaded_call(void (*f)(void));
__asm__(".text\n.globl loaded_call\n.type loaded_call, @function\n.balign 16\nloaded_call:\n"
        ".cfi_startproc\n"
        ".byte 0x48, 0x81, 0xec\n.long " TEXT(
            LOADED_FRAME) "\n" /* sub $LOADED_FRAME, %rsp */
                          ".cfi_def_cfa_offset " TEXT(
                              LOADED_FRAME) "+8\n"
                                            "movq $0, 8(%rsp)\n"
                                            "call *%rdi\n"
                                            ".byte 0x48, 0x81, 0xc4\n.long " TEXT(
                                                LOADED_FRAME) "\n" /* add */
                                                              ".cfi_def_cfa_offset 8\n"
                                                              "ret\n"
                                                              ".cfi_endproc\n.size loaded_call, .-loaded_call\n");

int loaded_number = LOADED_FRAME;

/* Tells the test that constructors run now. */
static __attribute__((constructor)) void constructed(void)
{
    const char *hook = getenv("LOADED_HOOK");
    if (hook)
        ((void (*)(void *))strtoull(hook, NULL, 16))((void *)loaded_call);
}
