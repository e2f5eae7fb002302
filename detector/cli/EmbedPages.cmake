# cmake -DOUTPUT=file.c -DPAGES=a.md;b.md -P EmbedPages.cmake
# Writes the pages as C arrays, in the form that detector/cli/pages.h declares. Bytes, not string literals: these have a
# length limit in ISO C.
set(arrays "")
set(table "")
set(count 0)
foreach(page IN LISTS PAGES)
    get_filename_component(name ${page} NAME_WE)
    file(READ ${page} hex HEX)
    string(LENGTH "${hex}" digits)
    math(EXPR length "${digits} / 2")
    string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
    string(REGEX REPLACE "(0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],0x[0-9a-f][0-9a-f],)"
           "\\1\n    " bytes "${bytes}")
    string(APPEND arrays "/* ${name} */\nstatic const unsigned char page_${count}[] = {\n    ${bytes}0};\n\n")
    string(APPEND table "    {\"${name}\", (const char *)page_${count}, ${length}},\n")
    math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUTPUT}
     "/* Generated from docs/explain/ by detector/cli/EmbedPages.cmake. */\n#include \"cli/pages.h\"\n\n${arrays}"
     "const struct explain_page explain_pages[] = {\n${table}    {0, 0, 0},\n};\nconst size_t explain_page_count = ${count};\n")
