# cmake -DNM=nm -DLIBRARY=libsnarl.so -DOUTPUT=file.c -P CcInterface.cmake
# Writes a C file with an empty function for each that LIBRARY exports to instrumented code and to annotated programs. Guards of local
# statics are among them: a program that has the C++ library linked in statically would take them from there, unseen.
execute_process(COMMAND ${NM} -D -P --defined-only ${LIBRARY} OUTPUT_VARIABLE lines COMMAND_ERROR_IS_FATAL ANY)
string(REGEX MATCHALL "(^|\n)(__tsan_|snarl_|Annotate|WTFAnnotate|RunningOnValgrind|ValgrindSlowdown|ThreadSanitizerQuery|__cxa_guard_)[A-Za-z0-9_]*" names "${lines}")
set(text "/* Generated from libsnarl.so's symbols by preload/access/CcInterface.cmake. */\n")
foreach(name IN LISTS names)
    string(STRIP "${name}" name)
    string(APPEND text "void ${name}(void) {}\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
