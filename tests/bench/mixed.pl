#!/usr/bin/perl
# Mixed text as JSON lines: mixed.pl BYTES CORPUS. The demonstration corpus below CORPUS and, in its 20 languages,
# Debian's installation guide without its mark-up, one document in turn of each folder, until BYTES are there.
# Each line of the guide that is left is kept as it is, so runs of blanks and line ends stay in the text.
use strict;
use warnings;
use Encode qw(decode FB_DEFAULT);
use JSON::PP;

my ($most, $corpus) = @ARGV;
my $guide = '/usr/share/doc/installation-guide-amd64';
my @folders = map { [sort glob "$_/*.txt $_/*.html"] } sort(glob "$corpus/*/ $guide/*/");
my $json = JSON::PP->new->utf8->canonical;
my %entity = (lt => '<', gt => '>', amp => '&', quot => '"', nbsp => "\x{a0}");

sub text_of {
    my ($path) = @_;
    open my $file, '<:raw', $path or die "mixed.pl: $path: $!\n";
    local $/;
    my $text = decode('UTF-8', scalar <$file>, FB_DEFAULT);
    return $text if $path !~ /\.html$/;
    $text =~ s/<[^>]*>//g;
    $text =~ s/&(?:#(\d+)|(\w+));/defined $1 ? chr $1 : $entity{$2} \/\/ ''/ge;
    return $text;
}

my $bytes = 0;
while (grep { @$_ } @folders) {
    for my $folder (grep { @$_ } @folders) {
        my $path = shift @$folder;
        my $line = $json->encode({ id => $path, text => text_of($path) });
        $bytes += length $line;
        exit 0 if $bytes > $most;
        print "$line\n";
    }
}
