/* Writing GGUF: the keys in memory, then header and tensors in one pass. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "io/gguf_internal.h"

/* --- keys --- */

static void add(struct mf_gguf_keys *keys, const void *bytes, size_t size) {
    if (keys->capacity - keys->size < size) {
        size_t capacity = 2 * (keys->size + size);
        unsigned char *larger = realloc(keys->bytes, capacity);
        if (!larger) mf_no_memory();
        keys->bytes = larger;
        keys->capacity = capacity;
    }
    if (size > 0) memcpy(keys->bytes + keys->size, bytes, size);
    keys->size += size;
}

static void add_number(struct mf_gguf_keys *keys, uint64_t value, size_t size) {
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(value >> 8 * i);
    add(keys, bytes, size);
}

void mf_gguf_add_string(struct mf_gguf_keys *keys, const char *bytes, size_t size) {
    add_number(keys, size, 8);
    add(keys, bytes, size);
}

void mf_gguf_add_i32(struct mf_gguf_keys *keys, int32_t value) {
    add_number(keys, (uint32_t)value, 4);
}

void mf_gguf_add_float(struct mf_gguf_keys *keys, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_number(keys, bits, 4);
}

static void begin(struct mf_gguf_keys *keys, const char *name, enum mf_gguf_value type) {
    mf_gguf_add_string(keys, name, strlen(name));
    add_number(keys, type, 4);
    keys->count++;
}

void mf_gguf_put_u32(struct mf_gguf_keys *keys, const char *name, uint32_t value) {
    begin(keys, name, MF_GGUF_U32);
    add_number(keys, value, 4);
}

void mf_gguf_put_float(struct mf_gguf_keys *keys, const char *name, float value) {
    begin(keys, name, MF_GGUF_FLOAT);
    mf_gguf_add_float(keys, value);
}

void mf_gguf_put_bool(struct mf_gguf_keys *keys, const char *name, bool value) {
    begin(keys, name, MF_GGUF_BOOL);
    add_number(keys, value, 1);
}

void mf_gguf_put_string(struct mf_gguf_keys *keys, const char *name, const char *text) {
    begin(keys, name, MF_GGUF_STRING);
    mf_gguf_add_string(keys, text, strlen(text));
}

void mf_gguf_put_list(struct mf_gguf_keys *keys, const char *name, enum mf_gguf_value type, uint64_t count) {
    begin(keys, name, MF_GGUF_LIST);
    add_number(keys, type, 4);
    add_number(keys, count, 8);
}

void mf_gguf_keys_free(struct mf_gguf_keys *keys) {
    free(keys->bytes);
    *keys = (struct mf_gguf_keys){0};
}

/* --- the file --- */

/* The tensor's entry; its place counts from the first tensor's. */
static void add_tensor(struct mf_gguf_keys *list, struct mf_gguf_tensor *t, uint64_t at) {
    if (mf_gguf_tensor_size(t) < 0) abort();
    t->offset = at;
    mf_gguf_add_string(list, t->name, strlen(t->name));
    add_number(list, (uint64_t)t->n_dims, 4);
    for (int i = t->n_dims; i-- > 0;) add_number(list, t->shape[i], 8);
    add_number(list, t->type, 4);
    add_number(list, at, 8);
}

int mf_gguf_header(struct mf_out *out, const struct mf_gguf_keys *keys, struct mf_gguf_tensor *tensors,
                   size_t count, struct mf_err *err) {
    struct mf_gguf_keys head = {0}, list = {0};
    uint64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        add_tensor(&list, &tensors[i], at);
        at = gguf_padded(at + tensors[i].bytes, GGUF_ALIGN);
    }
    add(&head, "GGUF", 4);
    add_number(&head, 3, 4);
    add_number(&head, count, 8);
    add_number(&head, keys->count, 8);
    uint64_t size = head.size + keys->size + list.size;
    for (size_t i = 0; i < count; i++) tensors[i].offset += gguf_padded(size, GGUF_ALIGN);
    int result = mf_out_write(out, head.bytes, head.size, err);
    if (result == 0) result = mf_out_write(out, keys->bytes, keys->size, err);
    if (result == 0) result = mf_out_write(out, list.bytes, list.size, err);
    if (result == 0) result = mf_gguf_pad(out, size, err);
    mf_gguf_keys_free(&head);
    mf_gguf_keys_free(&list);
    return result;
}

int mf_gguf_pad(struct mf_out *out, uint64_t bytes, struct mf_err *err) {
    static const unsigned char zeros[GGUF_ALIGN];
    return mf_out_write(out, zeros, gguf_padded(bytes, GGUF_ALIGN) - bytes, err);
}
