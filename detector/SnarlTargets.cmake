# Flags and helper functions shared by the folders' CMakeLists.txt.

# What every file of the project is compiled with.
add_library(snarl_warnings INTERFACE)
target_compile_options(snarl_warnings INTERFACE -Wall -Wextra -Wpedantic $<$<BOOL:${SNARL_WERROR}>:-Werror>)

add_library(snarl_common INTERFACE)
target_link_libraries(snarl_common INTERFACE snarl_warnings)
# At -Og gcc follows too little of the flow to know what is initialised; the release build checks that.
target_compile_options(snarl_common INTERFACE -g
                       $<$<CONFIG:Debug>:-Og$<SEMICOLON>$<$<C_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>>)
# Defined empty, so that a file may define it as well.
target_compile_definitions(snarl_common INTERFACE $<$<COMPILE_LANGUAGE:C>:_GNU_SOURCE=> SNARL_VERSION="${PROJECT_VERSION}"
                           $<$<BOOL:${SNARL_DEBUG}>:SNARL_DEBUG=1>)

# What runs inside watched programs. Initial-exec TLS: reached without a call into the loader, which allocates and locks.
# No PLT: no lazy binding inside an interceptor. Hidden: nothing of ours can be interposed by the program.
# Frame pointers: an interceptor finds its caller's registers through its own frame. Exceptions: clean-up at cancellation and
# C++ exceptions that pass through.
add_library(snarl_inside INTERFACE)
target_compile_options(snarl_inside INTERFACE -fPIC -fvisibility=hidden -fno-plt -ftls-model=initial-exec
                       -fno-omit-frame-pointer -fexceptions)

# The command, the core as the command sees it, and the unit tests can be instrumented; what is preloaded never is.
add_library(snarl_instrument INTERFACE)
if(SNARL_INSTRUMENT STREQUAL "asan")
    target_compile_options(snarl_instrument INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(snarl_instrument INTERFACE -fsanitize=address,undefined)
elseif(SNARL_INSTRUMENT STREQUAL "fuzz")
    target_compile_options(snarl_instrument INTERFACE -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all)
    target_link_options(snarl_instrument INTERFACE -fsanitize=address,undefined)
elseif(SNARL_INSTRUMENT STREQUAL "coverage")
    target_compile_options(snarl_instrument INTERFACE --coverage)
    target_link_options(snarl_instrument INTERFACE --coverage)
elseif(SNARL_INSTRUMENT)
    message(FATAL_ERROR "SNARL_INSTRUMENT is empty, asan, coverage or fuzz, not '${SNARL_INSTRUMENT}'.")
endif()

# snarl_folder(NAME [INSIDE]): static library snarl_NAME from the C files of the current folder, but for main.c.
# With INSIDE also the object library snarl_NAME_inside, for libsnarl.so: the same files, never instrumented.
function(snarl_folder name)
    cmake_parse_arguments(ARG "INSIDE" "" "" ${ARGN})
    file(GLOB sources CONFIGURE_DEPENDS *.c)
    list(FILTER sources EXCLUDE REGEX "/main\\.c$")
    add_library(snarl_${name} STATIC ${sources})
    target_include_directories(snarl_${name} PRIVATE ${PROJECT_SOURCE_DIR}/detector)
    target_link_libraries(snarl_${name} PRIVATE snarl_common snarl_instrument)
    if(ARG_INSIDE)
        target_link_libraries(snarl_${name} PRIVATE snarl_inside)
        add_library(snarl_${name}_inside OBJECT ${sources})
        target_include_directories(snarl_${name}_inside PRIVATE ${PROJECT_SOURCE_DIR}/detector)
        target_link_libraries(snarl_${name}_inside PRIVATE snarl_common snarl_inside)
    endif()
endfunction()
