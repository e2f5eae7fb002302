/* One case of an opcode, and what Zydis knows of it. */
#ifndef SNARL_TOOLS_OPCODES_TRY_H
#define SNARL_TOOLS_OPCODES_TRY_H

#include "access/rewrite_opcode.h"

struct opcode_case {
    u32 map, opcode;
    u32 at[DIMS];
};

/* All zero when there is no such instruction. */
void opcode_try(const struct opcode_case *c, struct opcode_facts *f);

#endif
