<?php
declare(strict_types=1);

require 'GuzzleHttp/autoload.php';

use GuzzleHttp\Client;
use GuzzleHttp\Exception\GuzzleException;
use GuzzleHttp\Psr7\PumpStream;

$client = new Client([
    'base_uri' => getenv('SENSGATE_URL'),
    'version' => (float) getenv('CLIENT_HTTP'),
    'http_errors' => false,
    'timeout' => 60,
]);

/** @return array{int, string} status and body */
function call(string $method, string $path, array $options): array
{
    global $client;
    try {
        $answer = $client->request($method, $path, $options);
        return [$answer->getStatusCode(), (string) $answer->getBody()];
    } catch (GuzzleException $error) {
        return [0, $error->getMessage()];
    }
}

function calls(): void
{
    $key = ['api_key' => getenv('SENSGATE_KEY')];
    $login = ['login' => 'CLIENTREST', 'password' => 'clientrest'];
    [$status, $answer] = call('POST', '/v1/login/user', ['headers' => $key, 'form_params' => $login]);
    echo "login $status\n";
    $headers = [...$key, 'access_token' => json_decode($answer)->access_token];
    $left = 2 << 20;
    $pieces = new PumpStream(function (int $most) use (&$left): string|false {
        $piece = min($left, $most);
        $left -= $piece;
        return $piece > 0 ? str_repeat('x', $piece) : false;
    });
    $steps = [
        ['query', 'GET', '/v1/articles', ['query' => 'filter={"ref":"A1|B2"}']],
        ['accent', 'GET', '/v1/articles', ['query' => ['filter' => '{"label":"É"}']]],
        ['post', 'POST', '/v1/devis', ['body' => '{"ref":"A1","label":"Écran"}']],
        ['upload', 'POST', '/v1/documents', ['body' => $pieces]],
        ['head', 'HEAD', '/v1/articles', []],
        ['delete', 'DELETE', '/v1/panier/1', []],
        ['delete_chunked', 'DELETE', '/v1/panier/2', []],
        ['again', 'GET', '/v1/articles', []],
    ];
    foreach ($steps as [$step, $method, $path, $options]) {
        [$status, $answer] = call($method, $path, $options + ['headers' => $headers]);
        echo "$step $status $answer\n";
    }
}

function refusals(): void
{
    $refuse = function (string $step, string $key, int $length): void {
        $options = ['headers' => ['api_key' => $key], 'body' => str_repeat('x', $length)];
        [$status, $answer] = call('POST', '/v1/documents', $options);
        echo "$step $status ", json_decode($answer)->code ?? $answer, "\n";
    };
    for ($time = 0; $time < 5; $time++) {
        $refuse('refused', "nobody's", 8_000_000);
    }
    $refuse('too_large', getenv('SENSGATE_KEY'), 12_000_000);
}

$argv[1]();
