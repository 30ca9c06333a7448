<?php
declare(strict_types=1);

$curl = curl_init();

/** @return array{int, string} status and body */
function call(string $method, string $path, array $fields, ?string $body = null, array $more = []): array
{
    global $curl;
    curl_reset($curl);
    curl_setopt_array($curl, [
        CURLOPT_URL => getenv('SENSGATE_URL') . $path,
        CURLOPT_CUSTOMREQUEST => $method,
        CURLOPT_HTTPHEADER => $fields,
        CURLOPT_HTTP_VERSION => getenv('CLIENT_HTTP') === '2' ? CURL_HTTP_VERSION_2_0 : CURL_HTTP_VERSION_1_1,
        CURLOPT_NOBODY => $method === 'HEAD',
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_TIMEOUT => 60,
    ] + ($body === null ? [] : [CURLOPT_POSTFIELDS => $body]) + $more);
    $answer = curl_exec($curl);
    if ($answer === false) {
        return [0, curl_error($curl)];
    }
    return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $answer];
}

function calls(): void
{
    $key = 'api_key: ' . getenv('SENSGATE_KEY');
    [$status, $answer] = call('POST', '/v1/login/user', [$key], 'login=CLIENTREST&password=clientrest');
    echo "login $status\n";
    $fields = [$key, 'access_token: ' . json_decode($answer)->access_token];
    $json = [...$fields, 'Content-Type: application/json'];
    $left = 2 << 20;
    $pieces = [
        CURLOPT_UPLOAD => true,
        CURLOPT_READFUNCTION => function ($curl, $file, int $most) use (&$left): string {
            $piece = min($left, $most);
            $left -= $piece;
            return str_repeat('x', $piece);
        },
    ];
    $steps = [
        ['query', 'GET', '/v1/articles?filter={"ref":"A1|B2"}', $fields],
        ['accent', 'GET', '/v1/articles?filter={"label":"É"}', $fields],
        ['post', 'POST', '/v1/devis', $json, '{"ref":"A1","label":"Écran"}'],
        ['upload', 'POST', '/v1/documents', $fields, null, $pieces],
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
        [$status, $answer] = call('POST', '/v1/documents', ["api_key: $key"], str_repeat('x', $length));
        echo "$step $status ", json_decode($answer)->code ?? $answer, "\n";
    };
    for ($time = 0; $time < 5; $time++) {
        $refuse('refused', "nobody's", 8_000_000);
    }
    $refuse('too_large', getenv('SENSGATE_KEY'), 12_000_000);
}

$argv[1]();
