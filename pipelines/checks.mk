# Looking for faults: tests, long tests, valgrind, coverage, analysers.

SANITIZED := $(patsubst $B/%,$B/sanitized/%,$(PROGRAMS))
PRELOADED := $B/tests/faults/faults.so $B/tests/faults/kills.so

## check      set up, build, and run every test, the end-to-end ones again with sanitizers
.PHONY: check
check: deps build $(UNITS) $(PRELOADED) $(SANITIZED) $(PEERS)
	@tests/check.sh $B

## check-long every fault in every program, an hour of fuzzing all readers (FUZZ_SECONDS=3600), KILLS=100 of each kind all over
##            the pipeline, folders of every size, and a cluster (SEED=)
KILLS ?= 100
.PHONY: check-long
check-long: FUZZ_SECONDS ?= 3600
check-long: deps build $(SANITIZED) $(PRELOADED) $(PEERS) $B/fuzz/readers
	@tests/check_long.sh $B $(KILLS) $(FUZZ_SECONDS) $(SEED)

# What the next targets need besides.
TOOLS := clang-format clang-tidy cppcheck shellcheck pyflakes3 valgrind gcovr
.PHONY: tools
tools: deps
	@pipelines/deps.sh $(TOOLS)

## valgrind   the unit tests under valgrind: memory that is misused, lost, or read before it was written
VALGRIND := valgrind -q --error-exitcode=1 --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite
UNDER_VALGRIND := $(UNITS:$B/tests/unit/%=valgrind-%)
.PHONY: valgrind $(UNDER_VALGRIND)
valgrind: $(UNDER_VALGRIND)
$(UNDER_VALGRIND): valgrind-%: $B/tests/unit/% | tools
	@echo "valgrind $*"
	@log=$$(MF_STRIDE=17 $(VALGRIND) $< 2>&1) || { echo "$$log"; exit 1; }

## coverage   lines of lib/ that tests reach; fails where a file of lib/io has less than 85%
.PHONY: coverage
coverage: tools $(PROGRAMS:$B/%=$B/coverage/%) $(UNITS:$B/%=$B/coverage/%) $B/tests/faults/faults.so
	@MF_FAULTS="$$(realpath $B)/tests/faults/faults.so" tests/coverage.sh $B/coverage

# What makes calls of the system fail, or kills at one, is loaded into a program, so built apart from the library.
$(PRELOADED): $B/tests/%.so: tests/%.c Makefile | deps
	@mkdir -p $(@D)
	@echo "cc $@"
	@$(CC) -std=c11 -D_GNU_SOURCE $(WARN) -O2 -fPIC -shared -o $@ $<

# Analysers of C, for each file once until it changes. gcc loses sight of blocks that are kept in arrays and calls them
# leaks: those are left to the sanitizers and to valgrind. In tests small blocks are not checked for (lib/base/memory.h).
ANALYSE := -O1 -fanalyzer -Wno-analyzer-malloc-leak -Werror
$B/lint/tests/%.ok: ANALYSE += -Wno-analyzer-possible-null-dereference -Wno-analyzer-possible-null-argument
$B/lint/$(MPI_C:.c=.ok): MF_FLAGS += $(shell pkg-config --cflags $(MPI))
$B/lint/%.ok: %.c .clang-tidy tests/.clang-tidy | tools
	@mkdir -p $(@D)
	@echo "lint $<"
	@gcc $(MF_FLAGS) $(ANALYSE) -MMD -MP -MF $(@:.ok=.d) -MT $@ -c -o /dev/null $<
	@clang-tidy --quiet $< -- $(MF_FLAGS) 2> /dev/null
	@touch $@

## lint       look for bugs without running anything: analysers of C, shell and Python, and the format of C
SOURCES := $(wildcard lib/*/*.c bin/*.c bin/cli/*.c tests/*/*.c)
.PHONY: lint
lint: $(SOURCES:%.c=$B/lint/%.ok)
	@echo "lint format, all of C together, scripts"
	@clang-format --dry-run -Werror $(SOURCES) $(wildcard lib/*/*.h bin/cli/*.h tests/*/*.h)
	@cppcheck -q --error-exitcode=1 --std=c11 --library=gnu,posix,openssl,tests/lint/cppcheck.cfg \
	    --enable=warning,performance --suppressions-list=tests/lint/cppcheck.txt -Ilib -Ibin $(SOURCES)
	@tests/lint/includes.sh
	@shellcheck pipelines/*.sh bin/cli/mf.bash tests/*.sh tests/*/*.sh .ci/run
	@pyflakes3 $(wildcard tests/*.py tests/*/*.py)
