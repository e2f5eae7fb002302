/* Names of data in real programs: as test_symbol, for memory that is no lock. */
#include "symbol/fixture.h"

static void in_c(void)
{
    check_variant("data-gcc-O0", "gcc", C_FLAGS "-g -O0", DATA_C, DATA_C_MARKS);
    check_variant("data-gcc-O2", "gcc", C_FLAGS "-g -O2", DATA_C, DATA_C_MARKS);
    check_variant("data-gcc-dwarf3", "gcc", C_FLAGS "-gdwarf-3 -gstrict-dwarf -O2 -DOLD_DWARF", DATA_C, DATA_C_MARKS);
    check_variant("data-gcc-dwarf4", "gcc", C_FLAGS "-gdwarf-4 -O1 -fdebug-types-section -DOLD_DWARF", DATA_C,
                  DATA_C_MARKS);
    if (!have("clang"))
        return;
    check_variant("data-clang-O0", "clang", C_FLAGS "-g -O0", DATA_C, DATA_C_MARKS);
    check_variant("data-clang-O2", "clang", C_FLAGS "-g -O2", DATA_C, DATA_C_MARKS);
}

static void in_cxx(void)
{
    check_variant("datacc-gcc-O0", "g++", CXX_FLAGS "-g -O0", DATA_CC, DATA_CC_MARKS);
    check_variant("datacc-gcc-O2", "g++", CXX_FLAGS "-g -O2", DATA_CC, DATA_CC_MARKS);
    if (!have("clang++"))
        return;
    check_variant("datacc-clang-O0", "clang++", CXX_FLAGS "-g -O0", DATA_CC, DATA_CC_MARKS);
    check_variant("datacc-clang-O2", "clang++", CXX_FLAGS "-gdwarf-4 -O2", DATA_CC, DATA_CC_MARKS);
}

UNIT_TESTS("symbol: data", {"in_c", in_c}, {"in_cxx", in_cxx})
