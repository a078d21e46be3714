# ModularForge: `make` sets up, builds and runs the whole pipeline; `make check` tests it; `make help` lists the rest.

CONFIG  ?= configs/demo.yaml
THREADS ?= $(shell nproc)
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
.DEFAULT_GOAL := all

B        := build
PACKAGES := openblas libarchive msgpack yaml-0.1 libutf8proc jansson libxxhash libcrypto
WARN     := -Wall -Wextra -Wshadow -Wvla -Wstrict-prototypes
CFLAGS   ?= -O3 -g
MF_CFLAGS = -std=c11 -D_GNU_SOURCE -Ilib $(WARN) -fno-math-errno -ffp-contract=off -pthread $(shell pkg-config --cflags $(PACKAGES) 2>/dev/null)
LDLIBS    = $(shell pkg-config --libs $(PACKAGES) 2>/dev/null) -lm -pthread

LIB_SRC  := $(wildcard lib/*/*.c)
PROGRAMS := $(patsubst bin/%.c,%,$(wildcard bin/mf-*.c))
UNITS    := $(patsubst tests/%.c,%,$(wildcard tests/*_test.c))
BIN      := $(PROGRAMS:%=$B/bin/%)

## all        set up, build, and run the pipeline with CONFIG (default configs/demo.yaml)
.PHONY: all
all: deps build pipeline

## build      compile the programs into build/bin
.PHONY: build
build: $(BIN)

$B/libmf.a: $(LIB_SRC:%.c=$B/obj/%.o)
	@rm -f $@
	$(AR) rcs $@ $^

$B/obj/%.o: %.c Makefile | deps
	@mkdir -p $(@D)
	$(CC) $(MF_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/bin/%: $B/obj/bin/%.o $B/libmf.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LDLIBS)

$B/tests/%: $B/obj/tests/%.o $B/libmf.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS)

.SECONDARY:
-include $(shell find $B/obj -name '*.d' 2>/dev/null)

.PHONY: deps
deps:
