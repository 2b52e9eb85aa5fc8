#!/usr/bin/perl
# A meta statistics server: a child for each client, a pipe for the means, one select.
#
# usage: fork.pl [PORT [META_PORT]]
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;
use POSIX qw(WNOHANG);

my $NUMBER = qr/\A[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\z/;
my $ERROR  = 'ERROR please send a number, or count, sum, mean, stddev or exit';
my $EOL    = "\r\n";
# A client that has its last line gets so many seconds to close.
my $LINGER = 10;
# A mean in the pipe is one double; a write of 8 bytes is never mixed with another.
my $RECORD = 8;

my $port      = shift // 7000;
my $meta_port = shift // $port + 1;

sub listener {
    my ($port) = @_;
    return IO::Socket::INET->new(
        LocalAddr => '127.0.0.1',
        LocalPort => $port,
        Listen    => 128,
        ReuseAddr => 1,
    ) || die "cannot listen on port $port: $@\n";
}

sub mean_of {
    my $sum = 0;
    $sum += $_ for @_;
    return @_ ? $sum / @_ : undef;
}

# The deviation of a sample, in two passes.
sub stddev_of {
    return undef if @_ < 2;
    my $mean    = mean_of(@_);
    my $squares = 0;
    $squares += ($_ - $mean)**2 for @_;
    return sqrt($squares / (@_ - 1));
}

sub shown {
    my ($quantity) = @_;
    return defined $quantity ? $quantity : 'N/A';
}

sub summary {
    return join '|', scalar @_, shown(mean_of(@_)), shown(stddev_of(@_));
}

# To close a socket with unread input would reset the connection, so the rest is read first.
sub finish {
    my ($socket) = @_;
    $socket->shutdown(1);
    alarm $LINGER;
    1 while sysread $socket, my $rest, 65536;
    exit 0;
}

# A client of the primary port, in its child.
sub session {
    my ($client, $pipe) = @_;
    my @values;
    while (defined(my $line = <$client>)) {
        chomp $line;
        $line =~ s/\A +//;
        $line =~ s/[ \r]+\z//;
        if ($line eq 'count') {
            print {$client} scalar @values, $EOL;
        } elsif ($line eq 'sum') {
            my $sum = 0;
            $sum += $_ for @values;
            print {$client} $sum, $EOL;
        } elsif ($line eq 'mean') {
            print {$client} shown(mean_of(@values)), $EOL;
        } elsif ($line eq 'stddev') {
            print {$client} shown(stddev_of(@values)), $EOL;
        } elsif ($line eq 'exit') {
            # The mean is in the pipe before the client can ask for it.
            syswrite $pipe, pack('d', mean_of(@values)) if @values;
            print {$client} summary(@values), $EOL;
            last;
        } elsif ($line =~ $NUMBER && abs($line) != 9**9**9) {
            push @values, $line + 0;
        } else {
            print {$client} $ERROR, $EOL;
        }
    }
    finish($client);
}

my ($primary, $secondary) = (listener($port), listener($meta_port));
pipe my $means_in, my $means_out or die "no pipe: $!\n";
$means_in->blocking(0);
my @means;

# Takes the means that are in the pipe. Whoever asks for them gets all that were sent before.
sub collect {
    while (my $length = sysread $means_in, my $records, 512 * $RECORD) {
        push @means, unpack 'd*', $records;
    }
}

# Runs a function in a child; the parent keeps nothing of the connection.
sub in_child {
    my ($listener, $serve) = @_;
    my $client = $listener->accept or return;
    collect();
    my $child  = fork;
    if (defined $child && $child == 0) {
        close $_ for $primary, $secondary, $means_in;
        $client->autoflush(1);
        $serve->($client);
    }
    close $client;
}

my $readable = IO::Select->new($primary, $secondary, $means_in);
while (1) {
    for my $ready ($readable->can_read(1)) {
        collect();
        in_child($primary, sub { session($_[0], $means_out) }) if $ready == $primary;
        in_child($secondary, sub { print {$_[0]} summary(@means), $EOL; finish($_[0]) })
            if $ready == $secondary;
    }
    1 while waitpid(-1, WNOHANG) > 0;
}
