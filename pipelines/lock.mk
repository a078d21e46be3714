# Two makes must not work in one run folder at the same time: this one starts another for the same goals, under the folder's
# lock, and tells it so by LOCKED. make does not hand on -W and -o: with LOCKED=runs/NAME they work, and no lock is taken.
GOALS := $(or $(MAKECMDGOALS),all)
.PHONY: $(GOALS)
$(firstword $(GOALS)):
	@+pipelines/lock.sh $(RUN) $(MAKE) --no-print-directory LOCKED=$(RUN) $(GOALS)
$(filter-out $(firstword $(GOALS)),$(GOALS)): $(firstword $(GOALS)) ;
