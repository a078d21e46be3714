/* Records of docs streams. */
#include "text/doc.h"

int mf_doc_next(struct mf_stream_reader *docs, struct mf_doc *doc, struct mf_err *err) {
    const struct mf_record *record;
    int more = mf_stream_next(docs, &record, err);
    return more <= 0 ? more : mf_doc_of(docs, record, doc, err) < 0 ? -1 : 1;
}

int mf_doc_of(struct mf_stream_reader *docs, const struct mf_record *record, struct mf_doc *doc,
              struct mf_err *err) {
    *doc = (struct mf_doc){.id = ""};
    int there = mf_record_string(record, "text", &doc->text, &doc->size, err);
    if (there == 0)
        return mf_err_set(err, EX_DATAERR, "%s: record %llu has no text", mf_stream_name(docs),
                          (unsigned long long)mf_stream_count(docs));
    if (there < 0 || mf_record_string(record, "id", &doc->id, &doc->id_size, err) < 0) return -1;
    return mf_record_string(record, "domain", &doc->domain, &doc->domain_size, err) < 0 ? -1 : 0;
}

int mf_doc_put(struct mf_stream_writer *docs, const struct mf_doc *doc, struct mf_err *err) {
    return mf_stream_begin(docs, doc->domain ? 3 : 2, err) < 0 ? -1 : mf_doc_put_fields(docs, doc, err);
}

int mf_doc_put_fields(struct mf_stream_writer *docs, const struct mf_doc *doc, struct mf_err *err) {
    if (mf_put_string(docs, "id", doc->id, doc->id_size, err) < 0) return -1;
    if (mf_put_string(docs, "text", doc->text, doc->size, err) < 0) return -1;
    return doc->domain ? mf_put_string(docs, "domain", doc->domain, doc->domain_size, err) : 0;
}
