/* oneDNN as a library that is loaded on demand. */
#include "nn/onednn.h"

#include <dlfcn.h>
#include <string.h>

bool onednn_useful(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512bf16");
#else
    return false;
#endif
}

/* A function's address comes as one of data; C has no conversion between them. */
static bool look_up(void *library, const char *name, void *function) {
    void *address = dlsym(library, name);
    memcpy(function, &address, sizeof address);
    return address != NULL;
}

bool onednn_open(struct onednn *o) {
    void *library = onednn_useful() ? dlopen("libdnnl.so.2", RTLD_NOW | RTLD_NODELETE) : NULL;
    if (!library) return false;
    bool found = look_up(library, "omp_set_num_threads", &o->set_threads);
#define LOOK_UP(name) found = look_up(library, "dnnl_" #name, &o->name) && found;
    ONEDNN_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    dlclose(library);
    return found;
}
