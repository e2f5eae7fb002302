/* Where things lie in CPython's structures, per version. The layouts are those of release builds on 64-bit; they do not
 * change within a minor version (the ABI of frames is internal, but offsets were compared over the micro releases by
 * compiling offsetof against their headers). Units: bytes. */
#ifndef SNARL_MODEL_PYTHON_LAYOUT_H
#define SNARL_MODEL_PYTHON_LAYOUT_H

#include "base/types.h"

enum python_lines { LINES_LNOTAB, LINES_310, LINES_LOCATIONS };

/* Where an instance has its attributes: words in front of it lead to their values and to a dictionary; one word leads to
 * either; they lie behind it unless a word in front leads to a dictionary. */
enum python_attributes { ATTRIBUTES_UNKNOWN, ATTRIBUTES_TWO_WORDS, ATTRIBUTES_ONE_WORD, ATTRIBUTES_BEHIND };

struct python_layout {
    u16 version;        /* 0x030b for 3.11 */
    u8 lines;           /* enum python_lines: form of the line table */
    u8 lasti_scale;     /* what a frame's last instruction counts in; 0: it is a pointer into the code */
    u32 runtime_size;   /* sizeof(_PyRuntime) */
    u32 gil_in_runtime; /* _PyRuntime.ceval.gil, or 0: */
    u32 main_interp;    /* _PyRuntime.interpreters.main -> */
    u32 interp_gil;     /* interpreter.ceval.gil (a pointer) */
    u16 interps;        /* _PyRuntime.interpreters.head -> the newest interpreter, */
    u16 interp_next;    /* which leads to the others, */
    u16 interp_threads; /* and to its thread states, one leading to the next by PY_THREAD_NEXT */
    u16 thread_id;      /* thread state: its pthread_t */
    u16 native_id;      /* thread state: its number, 0: not there */
    u16 thread_end;     /* thread state: weak reference to the lock that join takes, 0: not there */
    u16 frame;          /* thread state: current frame, or cframe that leads to it */
    u16 cframe_frame;   /* cframe: current frame; 0xffff: there is no cframe in between */
    u16 f_back, f_code, f_last;
    u16 f_owner; /* 0: frames have no owner field */
    u16 co_filename, co_name, co_firstlineno, co_lines;
    u16 co_consts;
    u16 co_code;                 /* first instruction (inline), or the bytes object with it (3.9, 3.10) */
    u8 ascii_size, compact_size; /* sizeof PyASCIIObject, PyCompactUnicodeObject: where the characters begin */
    u8 op_load_const;
    u8 op_load_const_fast; /* what the former becomes before a LOAD_FAST in code that has run a while; 0: nothing */
    u8 op_kw_names;        /* the latter has the index of a constant: the names of a call's keyword arguments */
    /* code units between a call's last argument (or its keywords' names) and what a frame has as its last
     * instruction */
    u8 call_gap;
    /* Where values are, from 3.11 on: */
    u16 f_globals, f_locals; /* dictionary; locals, then the stack */
    u16 co_nlocals, co_stacksize, co_exceptions, co_names_of_locals;
    u16 type_keys; /* heap type: names of the attributes of its instances */
    u8 attributes; /* enum python_attributes */
};

/* Same in all: PyVarObject.ob_size, PyObject.ob_type, PyBytesObject.ob_sval, _gil_runtime_state's members. */
#define PY_OB_TYPE 8u
#define PY_OB_SIZE 16u
#define PY_BYTES_DATA 32u
#define PY_TUPLE_ITEMS 24u
#define PY_STRING_LENGTH 16u
#define PY_STRING_HASH 24u
#define PY_STRING_STATE 32u
#define PY_GIL_LAST_HOLDER 8u
#define PY_GIL_LOCKED 16u
#define PY_GIL_COND 32u
#define PY_OWNED_BY_CSTACK 3u
#define PY_THREAD_NEXT 8u
#define PY_TYPE_NAME 24u
#define PY_TYPE_BASIC_SIZE 32u
#define PY_TYPE_FLAGS 168u
#define PY_TYPE_INLINE_VALUES (1u << 2)
#define PY_TYPE_MANAGED_DICT (1u << 4)
#define PY_TYPE_HEAP (1u << 9)
#define PY_WEAK_OBJECT 16u
#define PY_CELL_CONTENT 16u
#define PY_METHOD_SELF 24u /* of a C function or a Python one that is bound */
#define PY_LOCK_SEMAPHORE 16u
#define PY_RLOCK_OWNER 24u
/* Dictionaries, from 3.11 on. */
#define PY_DICT_KEYS 32u
#define PY_DICT_VALUES 40u
#define PY_KEYS_INDEX_SIZE 9u /* log2 */
#define PY_KEYS_KIND 10u
#define PY_KEYS_COUNT 24u
#define PY_KEYS_INDEXES 32u

static const struct python_layout python_layouts[] = {
    {.version = 0x0309,
     .lines = LINES_LNOTAB,
     .lasti_scale = 1,
     .runtime_size = 656,
     .gil_in_runtime = 352,
     .thread_id = 176,
     .frame = 24,
     .cframe_frame = 0xffff,
     .f_back = 24,
     .f_code = 32,
     .f_last = 104,
     .co_filename = 104,
     .co_name = 112,
     .co_firstlineno = 40,
     .co_lines = 120,
     .co_consts = 56,
     .co_code = 48,
     .ascii_size = 48,
     .compact_size = 72,
     .op_load_const = 100,
     .op_kw_names = 100,
     .call_gap = 0,
     .interps = 32,
     .interp_next = 0,
     .interp_threads = 8,
     .native_id = 0,
     .thread_end = 208},
    {.version = 0x030a,
     .lines = LINES_310,
     .lasti_scale = 2,
     .runtime_size = 672,
     .gil_in_runtime = 352,
     .thread_id = 176,
     .frame = 24,
     .cframe_frame = 0xffff,
     .f_back = 24,
     .f_code = 32,
     .f_last = 96,
     .co_filename = 104,
     .co_name = 112,
     .co_firstlineno = 40,
     .co_lines = 120,
     .co_consts = 56,
     .co_code = 48,
     .ascii_size = 48,
     .compact_size = 72,
     .op_load_const = 100,
     .op_kw_names = 100,
     .call_gap = 0,
     .interps = 32,
     .interp_next = 0,
     .interp_threads = 8,
     .native_id = 0,
     .thread_end = 208},
    {.version = 0x030b,
     .lines = LINES_LOCATIONS,
     .runtime_size = 166688,
     .gil_in_runtime = 360,
     .thread_id = 152,
     .frame = 56,
     .cframe_frame = 8,
     .f_back = 48,
     .f_code = 32,
     .f_last = 56,
     .f_owner = 69,
     .co_filename = 112,
     .co_name = 128,
     .co_firstlineno = 72,
     .co_lines = 136,
     .co_consts = 24,
     .co_code = 184,
     .ascii_size = 48,
     .compact_size = 72,
     .op_load_const = 100,
     .op_load_const_fast = 44,
     .op_kw_names = 172,
     .call_gap = 2,
     .interps = 40,
     .interp_next = 0,
     .interp_threads = 16,
     .native_id = 160,
     .thread_end = 192,
     .f_globals = 8,
     .f_locals = 72,
     .co_nlocals = 76,
     .co_stacksize = 68,
     .co_exceptions = 40,
     .co_names_of_locals = 96,
     .type_keys = 872,
     .attributes = ATTRIBUTES_TWO_WORDS},
    {.version = 0x030c,
     .lines = LINES_LOCATIONS,
     .runtime_size = 459944,
     .main_interp = 48,
     .interp_gil = 384,
     .thread_id = 136,
     .frame = 56,
     .cframe_frame = 0,
     .f_back = 8,
     .f_code = 0,
     .f_last = 56,
     .f_owner = 70,
     .co_filename = 112,
     .co_name = 128,
     .co_firstlineno = 68,
     .co_lines = 136,
     .co_consts = 24,
     .co_code = 192,
     .ascii_size = 40,
     .compact_size = 56,
     .op_load_const = 100,
     .op_load_const_fast = 84,
     .op_kw_names = 172,
     .call_gap = 0,
     .interps = 40,
     .interp_next = 0,
     .interp_threads = 72,
     .native_id = 144,
     .thread_end = 176,
     .f_globals = 24,
     .f_locals = 72,
     .co_nlocals = 72,
     .co_stacksize = 64,
     .co_exceptions = 40,
     .co_names_of_locals = 96,
     .type_keys = 880,
     .attributes = ATTRIBUTES_ONE_WORD},
    {.version = 0x030d,
     .lines = LINES_LOCATIONS,
     .runtime_size = 283320,
     .main_interp = 640,
     .interp_gil = 16,
     .thread_id = 152,
     .frame = 72,
     .cframe_frame = 0xffff,
     .f_back = 8,
     .f_code = 0,
     .f_last = 56,
     .f_owner = 70,
     .co_filename = 112,
     .co_name = 128,
     .co_firstlineno = 68,
     .co_lines = 136,
     .co_consts = 24,
     .co_code = 200,
     .ascii_size = 40,
     .compact_size = 56,
     .op_load_const = 83,
     .op_kw_names = 83,
     .call_gap = 0,
     .interps = 632,
     .interp_next = 7264,
     .interp_threads = 7344,
     .native_id = 160,
     .f_globals = 24,
     .f_locals = 72,
     .co_nlocals = 72,
     .co_stacksize = 64,
     .co_exceptions = 40,
     .co_names_of_locals = 96,
     .type_keys = 880,
     .attributes = ATTRIBUTES_BEHIND},
};

/* Line of the instruction at byte offset `at` of a code object that begins at first_line. The table's bytes may be
 * anything: it is read within its bounds, and what makes no sense ends the search with the line so far. */
u32 python_line(enum python_lines form, const u8 *table, u64 size, u32 first_line, u64 at);

#endif
