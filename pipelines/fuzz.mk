# Fuzzing: every reader of files in one program, built by clang with libFuzzer and the sanitizers. Included behind the rules of
# builds.

FUZZER := $(patsubst %.c,$B/fuzz/obj/%.o,$(wildcard tests/fuzz/*.c))
FUZZED := $(patsubst %.c,$B/fuzz/obj/%.o,$(wildcard lib/*/*.c bin/cli/*.c)) $(FUZZER)
# Instrumented loops are not vectorized, whatever they ask for.
$(eval $(call RULES,$B/fuzz,-fsanitize=fuzzer-no-link $(SANITIZE) -Wno-pass-failed))
$B/fuzz/%: override CC := clang
$(FUZZED): | fuzz-deps

$B/fuzz/readers: $(FUZZER) $B/fuzz/cli.a $B/fuzz/libmf.a
	@echo "link $@"
	@$(CC) $(CFLAGS) -fsanitize=fuzzer $(SANITIZE) -o $@ $^ $(LDLIBS)

.PHONY: fuzz-deps
fuzz-deps:
	@pipelines/deps.sh clang libclang-rt-14-dev

## fuzz       read mutated files with every reader, for FUZZ_SECONDS=600 in all (READERS='docs model' for some of them)
.PHONY: fuzz
fuzz: FUZZ_SECONDS ?= 600
fuzz: deps build $B/fuzz/readers
	@tests/fuzz/fuzz.sh $B $(FUZZ_SECONDS) $(READERS)
