<?php
/**
 * A cron job of a shop that talks to 8sens through sensgate. It knows a base URL and a key, and needs nothing but PHP 8.1.
 *
 *   SENSGATE_URL=https://gate.example SENSGATE_KEY_FILE=/etc/shop/sensgate-key SENSGATE_TOKEN_FILE=/var/lib/shop/token php cron.php
 *
 * What it shows: the session is kept between two runs and renewed when it has ended; a refusal that names a time is waited for;
 * a write whose outcome is unknown is never sent again.
 *
 * Exit codes: 0 done, 75 try at the next run, 65 somebody has to look, 78 set up wrongly.
 */
declare(strict_types=1);

const TRIES = 4;            // requests for one call, all in all
const LONGEST_WAIT = 60;    // seconds; a longer Retry-After is for the next run
const TIMEOUT = 70;         // seconds; longer than read_timeout of the gate, so that the gate answers first

/** Nobody knows whether 8sens did it. */
final class OutcomeUnknown extends RuntimeException {}
/** Not done, and not now. */
final class TryLater extends RuntimeException {}
/** Not done, and not without a human. */
final class Refused extends RuntimeException {}

final class Gate
{
    private ?string $token = null;

    public function __construct(
        private string $base,
        private string $key,
        private array $login,
        private string $tokenFile,
    ) {
        $kept = @file_get_contents($tokenFile);
        $this->token = is_string($kept) && $kept !== '' ? $kept : null;
    }

    /** One call with a session. Returns the decoded answer. */
    public function call(string $method, string $path, ?array $body = null): array
    {
        for ($try = 1; $try <= TRIES; $try++) {
            $this->token ??= $this->logIn();
            [$status, $fields, $answer] = $this->send($method, $path, ['access_token: ' . $this->token], $body);
            $code = self::refusedByGate($fields, $answer);
            if ($code === null && $status >= 200 && $status < 300) {
                return $answer;
            }
            // The session has ended: the gate says so before 8sens sees anything, or 8sens refuses. Either way nothing was done, and even
            // a POST may be sent again.
            if ($status === 401 && ($code === null || str_starts_with($code, 'session_'))) {
                $this->forget();
                continue;
            }
            if ($code !== null && in_array($status, [429, 503], true)) {
                $this->wait($fields, $code);
                continue;
            }
            $this->giveUp($method, $status, $code, $answer);
        }
        throw new TryLater("$method $path: still refused after " . TRIES . ' tries');
    }

    private function logIn(): string
    {
        for ($try = 1; $try <= TRIES; $try++) {
            [$status, $fields, $answer] = $this->send('POST', '/v1/login/user', [], null, http_build_query($this->login));
            $code = self::refusedByGate($fields, $answer);
            if ($status === 200 && isset($answer['access_token'])) {
                $this->token = (string) $answer['access_token'];
                $this->keep($this->token);
                return $this->token;
            }
            if ($code !== null && in_array($status, [429, 503], true)) {
                $this->wait($fields, $code);
                continue;
            }
            $this->giveUp('GET', $status, $code, $answer);
        }
        throw new TryLater('login: still refused after ' . TRIES . ' tries');
    }

    /** @return array{int, array<string, string>, array} status, fields by lower-case name, decoded body */
    private function send(string $method, string $path, array $more, ?array $body, ?string $form = null): array
    {
        $header = ['api_key: ' . $this->key, 'Accept: application/json', 'Connection: close', ...$more];
        if ($body !== null) {
            $header[] = 'Content-Type: application/json';
        } elseif ($form !== null) {
            $header[] = 'Content-Type: application/x-www-form-urlencoded';
        }
        $content = $body !== null ? json_encode($body, JSON_THROW_ON_ERROR) : $form;
        $http = ['method' => $method, 'header' => $header, 'ignore_errors' => true, 'timeout' => TIMEOUT, 'follow_location' => 0];
        if ($content !== null) {
            $http['content'] = $content;
        }
        // Certificates are verified: that is PHP's default, and stays so.
        $text = @file_get_contents($this->base . $path, false, stream_context_create(['http' => $http]));
        $lines = $http_response_header ?? [];
        if (!preg_match('~^HTTP/\S+ (\d{3})~', $lines[0] ?? '', $matched)) {
            // A login changes nothing; another write may have arrived although no answer did.
            if ($method === 'POST' && $path !== '/v1/login/user') {
                throw new OutcomeUnknown("$method $path: no answer");
            }
            throw new TryLater("$method $path: no answer");
        }
        $fields = [];
        foreach (array_slice($lines, 1) as $line) {
            [$name, $value] = explode(':', $line, 2) + [1 => ''];
            $fields[strtolower($name)] = trim($value);
        }
        $answer = json_decode((string) $text, true);
        return [(int) $matched[1], $fields, is_array($answer) ? $answer : []];
    }

    /** The code of a refusal that the gate wrote; null for what 8sens answered. */
    private static function refusedByGate(array $fields, array $answer): ?string
    {
        $problem = str_starts_with($fields['content-type'] ?? '', 'application/problem+json');
        $ours = $problem && str_starts_with($answer['type'] ?? '', 'urn:sensgate:problem:');
        return $ours ? (string) $answer['code'] : null;
    }

    private function wait(array $fields, string $code): void
    {
        $seconds = (int) ($fields['retry-after'] ?? 5);
        if ($seconds > LONGEST_WAIT) {
            throw new TryLater("$code: asked to wait $seconds s");
        }
        sleep(max(1, $seconds));
    }

    private function giveUp(string $method, int $status, ?string $code, array $answer): never
    {
        $said = ($code ?? '8sens') . " ($status), request " . ($answer['request_id'] ?? '-');
        // 502 and 504: the gate could not tell either. 5xx of 8sens: it may have done half of it.
        if ($status >= 500) {
            throw $method === 'POST' ? new OutcomeUnknown($said) : new TryLater($said);
        }
        throw new Refused($said);
    }

    private function keep(string $token): void
    {
        $old = umask(0077);
        file_put_contents($this->tokenFile, $token, LOCK_EX);
        umask($old);
    }

    private function forget(): void
    {
        $this->token = null;
        @unlink($this->tokenFile);
    }
}

function setting(string $name): string
{
    $value = getenv($name);
    if ($value === false || $value === '') {
        fwrite(STDERR, "$name is not set\n");
        exit(78);
    }
    return $value;
}

$gate = new Gate(
    rtrim(setting('SENSGATE_URL'), '/'),
    trim((string) file_get_contents(setting('SENSGATE_KEY_FILE'))),
    ['login' => getenv('SENSGATE_LOGIN') ?: 'CLIENTREST', 'password' => getenv('SENSGATE_PASSWORD') ?: 'clientrest'],
    setting('SENSGATE_TOKEN_FILE'),
);

try {
    // What a shop does at night: read the articles, and hand over one quote. These routes are the sandbox's; put in yours.
    $articles = $gate->call('GET', '/v1/articles');
    echo count($articles), " entries read\n";
    if (in_array('--quote', $argv, true)) {
        $quote = $gate->call('POST', '/v1/devis', ['lignes' => [['article' => 'CAF-1KG', 'quantite' => 1]]]);
        echo 'quote made: ', json_encode($quote), "\n";
    }
} catch (TryLater $why) {
    fwrite(STDERR, "later: {$why->getMessage()}\n");
    exit(75);
} catch (OutcomeUnknown $why) {
    fwrite(STDERR, "OUTCOME UNKNOWN, look in 8sens before sending it again: {$why->getMessage()}\n");
    exit(65);
} catch (Refused $why) {
    fwrite(STDERR, "refused: {$why->getMessage()}\n");
    exit(65);
}
