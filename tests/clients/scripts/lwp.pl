use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use HTTP::Request;
use LWP::UserAgent;

# A colon before a name keeps LWP from making a dash of its underscore.
$| = 1;
my ($url, $key) = @ENV{qw(SENSGATE_URL SENSGATE_KEY)};
my $agent = LWP::UserAgent->new(keep_alive => 1, timeout => 60, max_redirect => 0);

sub call {
    my ($method, $path, $fields, $body) = @_;
    my $request = HTTP::Request->new($method, $url . $path, $fields, $body);
    my $answer = $agent->request($request);
    return ($answer->code, $answer->content);
}

sub pieces {
    my ($left) = @_;
    return sub {
        my $piece = $left < 65536 ? $left : 65536;
        $left -= $piece;
        return 'x' x $piece;
    };
}

sub calls {
    my $form = [':api_key' => $key, 'Content-Type' => 'application/x-www-form-urlencoded'];
    my ($status, $answer) = call('POST', '/v1/login/user', $form, 'login=CLIENTREST&password=clientrest');
    print "login $status\n";
    my ($token) = $answer =~ /"access_token":"([^"]*)"/;
    my @fields = (':api_key' => $key, ':access_token' => $token);
    for (
        ['query', 'GET', '/v1/articles?filter={"ref":"A1|B2"}'],
        ['accent', 'GET', encode_utf8('/v1/articles?filter={"label":"É"}')],
        ['post', 'POST', '/v1/devis', encode_utf8('{"ref":"A1","label":"Écran"}')],
        ['upload', 'POST', '/v1/documents', pieces(2 << 20)],
        ['head', 'HEAD', '/v1/articles'],
        ['delete', 'DELETE', '/v1/panier/1'],
        ['delete_chunked', 'DELETE', '/v1/panier/2'],
        ['again', 'GET', '/v1/articles'],
    ) {
        my ($step, $method, $path, $body) = @$_;
        my @type = defined $body ? ('Content-Type' => 'application/json') : ();
        my ($status, $answer) = call($method, $path, [@fields, @type], $body);
        print "$step $status $answer\n";
    }
}

sub refuse {
    my ($step, $key, $length) = @_;
    my ($status, $answer) = call('POST', '/v1/documents', [':api_key' => $key], 'x' x $length);
    $answer = $1 if $answer =~ /"code":"([^"]*)"/;
    print "$step $status $answer\n";
}

sub refusals {
    refuse('refused', "nobody's", 8_000_000) for 1 .. 5;
    refuse('too_large', $key, 12_000_000);
}

{ calls => \&calls, refusals => \&refusals }->{ $ARGV[0] }->();
