<?php
declare(strict_types=1);

/** @return array{int, string} status and body */
function call(string $method, string $path, array $fields, ?string $body = null): array
{
    $http = ['method' => $method, 'header' => $fields, 'ignore_errors' => true, 'timeout' => 60, 'follow_location' => 0];
    if ($body !== null) {
        $http['content'] = $body;
    }
    $answer = @file_get_contents(getenv('SENSGATE_URL') . $path, false, stream_context_create(['http' => $http]));
    if ($answer === false) {
        return [0, error_get_last()['message']];
    }
    return [(int) explode(' ', $http_response_header[0])[1], $answer];
}

function calls(): void
{
    $key = 'api_key: ' . getenv('SENSGATE_KEY');
    $form = 'Content-Type: application/x-www-form-urlencoded';
    [$status, $answer] = call('POST', '/v1/login/user', [$key, $form], 'login=CLIENTREST&password=clientrest');
    echo "login $status\n";
    $fields = [$key, 'access_token: ' . json_decode($answer)->access_token];
    $json = [...$fields, 'Content-Type: application/json'];
    $octets = [...$fields, 'Content-Type: application/octet-stream'];
    $steps = [
        ['query', 'GET', '/v1/articles?filter={"ref":"A1|B2"}', $fields],
        ['accent', 'GET', '/v1/articles?filter={"label":"É"}', $fields],
        ['post', 'POST', '/v1/devis', $json, '{"ref":"A1","label":"Écran"}'],
        ['upload', 'POST', '/v1/documents', $octets, str_repeat('x', 2 << 20)],
        ['head', 'HEAD', '/v1/articles', $fields],
        ['delete', 'DELETE', '/v1/panier/1', $fields],
        ['delete_chunked', 'DELETE', '/v1/panier/2', $fields],
        ['again', 'GET', '/v1/articles', $fields],
    ];
    foreach ($steps as $step) {
        [$status, $answer] = call(...array_slice($step, 1));
        echo "$step[0] $status $answer\n";
    }
}

function refusals(): void
{
    $refuse = function (string $step, string $key, int $length): void {
        $fields = ["api_key: $key", 'Content-Type: application/octet-stream'];
        [$status, $answer] = call('POST', '/v1/documents', $fields, str_repeat('x', $length));
        echo "$step $status ", json_decode($answer)->code ?? $answer, "\n";
    };
    for ($time = 0; $time < 5; $time++) {
        $refuse('refused', "nobody's", 8_000_000);
    }
    $refuse('too_large', getenv('SENSGATE_KEY'), 12_000_000);
}

$argv[1]();
