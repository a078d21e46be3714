# Installing: the programs, what they know of themselves (manual pages, completion for bash), and libmf with its headers for
# programs outside the tree. Everything is below PREFIX; DESTDIR is put before it for packages.

BINDIR     := $(DESTDIR)$(PREFIX)/bin
LIBDIR     := $(DESTDIR)$(PREFIX)/lib
PCDIR      := $(LIBDIR)/pkgconfig
INCLUDEDIR := $(DESTDIR)$(PREFIX)/include/mf
MANDIR     := $(DESTDIR)$(PREFIX)/share/man/man1
BASHDIR    := $(DESTDIR)$(PREFIX)/share/bash-completion/completions

MANUALS := $(patsubst $B/bin/%,$B/man/%.1,$(PROGRAMS))
HEADERS := $(filter-out %internal.h,$(wildcard lib/*/*.h))

# With a program's page come those of its commands, PROGRAM-COMMAND.1.
$B/man/%.1: $B/bin/% pipelines/manual.sh
	@mkdir -p $(@D)
	@rm -f $(@:.1=-*.1)
	@pipelines/manual.sh $< $(@D)

# libmf is a static library: whoever links it needs the others too, so they are required and not private.
.PHONY: $B/libmf.pc
$B/libmf.pc: | build
	@version=$$(sed -n 's/^#define MF_VERSION *"\(.*\)"/\1/p' bin/cli/options.h); \
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' \
	    'Name: libmf' 'Description: Language models of experts: data, tokenizer, training, assembly, evaluation' \
	    "Version: $$version" 'Requires: $(LIBS)' 'Libs: -L"$${libdir}" -lmf -lbz2 -lm -pthread' \
	    'Cflags: -I"$${includedir}/mf" -pthread' > $@

## man        make the manual pages in build/man
.PHONY: man
man: $(MANUALS)

## install    install programs, manual pages, bash completion and libmf below PREFIX=/usr/local (DESTDIR= goes before it)
.PHONY: install
install: build man $B/libmf.a $B/libmf.pc
	install -d '$(BINDIR)' '$(PCDIR)' '$(MANDIR)' '$(BASHDIR)' $(patsubst lib/%,'$(INCLUDEDIR)/%',$(sort $(dir $(HEADERS))))
	install $(PROGRAMS) '$(BINDIR)'
	shopt -s nullglob; install -m 644 $(MANUALS) $(MANUALS:.1=-*.1) '$(MANDIR)'
	for p in $(notdir $(PROGRAMS)); do install -m 644 bin/cli/mf.bash '$(BASHDIR)'/"$$p"; done
	install -m 644 $B/libmf.a '$(LIBDIR)'
	for h in $(HEADERS:lib/%=%); do install -m 644 "lib/$$h" '$(INCLUDEDIR)'/"$$h"; done
	install -m 644 $B/libmf.pc '$(PCDIR)'

## uninstall  remove what install put there; give the same PREFIX and DESTDIR
.PHONY: uninstall
uninstall:
	for p in $(notdir $(PROGRAMS)); do rm -f '$(BINDIR)'/$$p '$(BASHDIR)'/$$p '$(MANDIR)'/$$p.1 '$(MANDIR)'/$$p-*.1; done
	rm -f '$(LIBDIR)/libmf.a' '$(PCDIR)/libmf.pc'
	rm -f $(patsubst lib/%,'$(INCLUDEDIR)/%',$(HEADERS))
	if [ -d '$(INCLUDEDIR)' ]; then find '$(INCLUDEDIR)' -depth -type d -empty -delete; fi
