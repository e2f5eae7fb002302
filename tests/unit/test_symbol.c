/* Symbolisation of real programs: fixtures in tests/unit/symbol are compiled in many ways, run, and print where their
 * locks and call sites are and what they have to be called. */
#include "symbol/fixture.h"

static void c_gcc(void)
{
    check_variant("c-gcc-O0", "gcc", C_FLAGS "-g -O0", LOCKS_C, C_MARKS);
    check_variant("c-gcc-O2", "gcc", C_FLAGS "-g -O2", LOCKS_C, C_MARKS);
    check_variant("c-gcc-dwarf4", "gcc", C_FLAGS "-gdwarf-4 -O2 -no-pie", LOCKS_C, C_MARKS);
    check_variant("c-gcc-types", "gcc", C_FLAGS "-gdwarf-5 -O0 -fdebug-types-section -gz=zlib", LOCKS_C, C_MARKS);
    check_variant("c-gcc-lto", "gcc", C_FLAGS "-g -O2 -flto", LOCKS_C, C_MARKS);
}

static void c_clang(void)
{
    if (!have("clang"))
        return;
    check_variant("c-clang-O0", "clang", C_FLAGS "-g -O0", LOCKS_C, C_MARKS);
    check_variant("c-clang-O2", "clang", C_FLAGS "-g -O2", LOCKS_C, C_MARKS);
    check_variant("c-clang-dwarf4", "clang", C_FLAGS "-gdwarf-4 -O1", LOCKS_C, C_MARKS);
}

static void split_dwarf(void)
{
    check_variant("c-gcc-split", "gcc", C_FLAGS "-g -O2 -gsplit-dwarf", LOCKS_C, C_MARKS);
    if (have("clang"))
        check_variant("c-clang-split", "clang", C_FLAGS "-g -O0 -gsplit-dwarf", LOCKS_C, C_MARKS);
}

static void cxx_gcc(void)
{
    check_variant("cxx-gcc-O0", "g++", CXX_FLAGS "-g -O0", LOCKS_CC, CXX_MARKS);
    check_variant("cxx-gcc-O2", "g++", CXX_FLAGS "-g -O2", LOCKS_CC, CXX_MARKS);
}

static void cxx_clang(void)
{
    if (!have("clang++"))
        return;
    check_variant("cxx-clang-O0", "clang++", CXX_FLAGS "-g -O0", LOCKS_CC, CXX_MARKS);
    check_variant("cxx-clang-O2", "clang++", CXX_FLAGS "-gdwarf-4 -O2", LOCKS_CC, CXX_MARKS);
}

UNIT_TESTS("symbol", {"c_gcc", c_gcc}, {"c_clang", c_clang}, {"split_dwarf", split_dwarf}, {"cxx_gcc", cxx_gcc},
           {"cxx_clang", cxx_clang})
