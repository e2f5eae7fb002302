/* Loads a module that uses <snarl/snarl.h>, and calls into it. */
#include <dlfcn.h>

int main(int argc, char **argv)
{
    void *module = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND) : 0;
    int (*use)(void) = module ? (int (*)(void))dlsym(module, "use") : 0;
    return use ? use() : 2;
}
