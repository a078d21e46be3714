{{!-- The loss curves of every training: a script for gnuplot, filled like report.html beside it. Only numbers (g, .2) may be
filled in here: gnuplot would run what a text says. The style sheet has the colours and the last word on fonts; here they are
for the room that text takes. --}}
set terminal svg size 300,200 dynamic noenhanced font 'sans,12'
set lmargin at screen .115; set rmargin at screen .96; set bmargin at screen .19; set tmargin at screen .85
set border 0
set tics nomirror scale 0
set format x '%.0f'; set format y '%h'
set grid ytics lt 1
set key at screen -.02, screen 1 left top horizontal Left reverse samplen 1.5 width -3.5 maxrows 1
set xlabel 'steps' offset 0,.9
# marks of an axis divide it into two to five; a curve of many points is drawn as the means of neighbours
marks(r) = (u = 10.**floor(log10(r)), r/u < 2 ? u/2 : r/u < 5 ? u : 2*u)
near(x) = steps/200.*floor(200*x/steps + .5)
{{#charts}}
$loss << END
{{#loss.points}}
{{0 g}} {{1 g}}
{{/loss.points}}
END
$validation << END
{{#validation.points}}
{{0 g}} {{1 g}}
{{/validation.points}}
END
steps = {{steps g}}; low = {{low g}}; high = {{high g}}
set xrange [0:steps]; set xtics ceil(marks(steps)) offset 0,.3
set yrange [low:high]; set ytics marks(high - low) offset .8,0
# a curve without points is not in the key, but is the first or second all the same
plot {{#loss}}
  $loss using (near($1)):2 smooth unique {{?dots}}with linespoints pt 7 ps .5 pointinterval {{dots g}} {{/dots}}
  {{^dots}}with lines {{/dots}}
  title 'training {{last .2}}', {{/loss}}
{{^loss}}NaN notitle, {{/loss}}
{{#validation}}
  $validation using (near($1)):2 smooth unique with linespoints pt 7 ps .5 pointinterval {{dots g}} \
  title 'held out {{last .2}}'{{/validation}}
{{^validation}}NaN notitle{{/validation}}

{{/charts}}
