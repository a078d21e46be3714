# The loss curves of a run so far, also while its trainings run: `make plot [NAME=demo]`, again as often as wanted.

## plot       draw the loss curves so far: runs/NAME/curves.svg and curves.png
.PHONY: plot
plot: $(BIN)/mf-cat
	@pipelines/plot.sh $(BIN)/mf-cat $(RUN)
