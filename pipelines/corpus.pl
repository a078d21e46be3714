# Cuts one domain's text into documents and writes a spread-out selection of them; called by corpus.sh:
#   perl corpus.pl DOMAIN BYTES OUTDIR BASE < text (scripture, dictionary) or list of files under BASE (the others)
use strict;
use warnings;
use Digest::MD5 qw(md5_hex);

my ($domain, $limit, $out, $base) = @ARGV;

# Documents of at least 500 bytes; a small corpus has small ones, so that it still has many.
my ($least, $most) = (500, int($limit / 128));
$most = 4096 if $most < 4096;
$most = 16384 if $most > 16384;

my %heading = (
    kernel => qr/^(?=[^\n]+\n([=\-~^*"#+])\g1{3,}\n)/m,
    python => qr/^(?=[^\n]+\n([=\-~^*"#+])\g1{3,}\n)/m,
    perl   => qr/^(?==head[123] )/m,
);
my @documents; # [name, text]

# The pieces of a text before each place where `pattern` matches.
sub cut {
    my ($text, $pattern) = @_;
    my ($from, @pieces) = (0);
    while ($text =~ /$pattern/g) {
        push @pieces, substr($text, $from, $-[0] - $from) if $-[0] > $from;
        $from = $-[0];
        pos($text) = $from + 1;
    }
    return (@pieces, substr($text, $from));
}

# Adds a file as one document or, when it is long, as chapters: neighbouring sections as long as they fit. A
# section that is too long by itself is cut at blank lines.
sub add {
    my ($name, $text) = @_;
    return push @documents, [$name, $text] if length $text <= $most;
    my @sections = map { length $_ > $most ? cut($_, qr/(?<=\n\n)(?=[^\n])/) : $_ } cut($text, $heading{$domain});
    my ($chapter, $number) = ('', 0);
    for my $section (@sections, undef) {
        if (!defined $section || length($chapter) + length($section) > $most) {
            push @documents, [sprintf('%s-%03d', $name, ++$number), $chapter] if length $chapter;
            $chapter = '';
        }
        $chapter .= $section if defined $section;
    }
}

if ($domain eq 'scripture') {
    my $text = do { local $/; <STDIN> };
    for my $chapter (cut($text, qr/^(?=(?:[123] )?[A-Z][A-Za-z ]* \d+\n\n)/m)) {
        my ($book, $number) = $chapter =~ /\A([\w ]+) (\d+)\n/ or next;
        push @documents, [sprintf('%s-%03d', lc($book =~ tr/ /-/r), $number), $chapter =~ s/\n+\z/\n/r];
    }
} elsif ($domain eq 'dictionary') {
    local $/ = ''; # paragraphs; one that begins at the margin begins an article
    my ($page, $number, $begun) = ('', 0, 0);
    while (my $paragraph = <STDIN>) {
        $begun ||= $paragraph =~ /\A\S+ \\\S/; # what stands before the first headword is about the dictionary
        next unless $begun;
        if (length $page >= 2000 && $paragraph =~ /\A\S/) {
            push @documents, [sprintf('page-%05d', ++$number), $page];
            $page = '';
        }
        $page .= $paragraph;
    }
    push @documents, [sprintf('page-%05d', ++$number), $page] if length $page;
} else {
    chomp(my @files = <STDIN>);
    for my $file (sort @files) {
        my @how = $file =~ /\.gz\z/ ? ('-|', 'gzip', '-dc') : ('<');
        open my $in, shift @how, @how, "$base/$file" or die "corpus.pl: $base/$file: $!\n";
        my $text = do { local $/; <$in> } // '';
        close $in or die "corpus.pl: $base/$file: cannot be read\n";
        add($file =~ s{\A\./}{}r =~ s{(?:\.rst)?\.(?:txt|pod)(?:\.gz)?\z}{}r =~ s{[^\w.-]}{-}gr, $text);
    }
}

my ($count, $total) = (0, 0);
for my $document (sort { $a->[2] cmp $b->[2] } map { [@$_, md5_hex($_->[0])] } @documents) {
    my ($name, $text) = @$document;
    my $size = length $text;
    next if $size < $least || $size > $most || !utf8::decode(my $copy = $text); # a few bytes of gcide are not UTF-8
    last if $total + $size > $limit;
    open my $file, '>', "$out/$name.txt" or die "corpus.pl: $out/$name.txt: $!\n";
    print {$file} $text and close $file or die "corpus.pl: $out/$name.txt: $!\n";
    $count++;
    $total += $size;
}
die "corpus.pl: no $domain document fits into $limit bytes\n" unless $count;
printf "%-12s %6d documents %9d bytes\n", $domain, $count, $total;
