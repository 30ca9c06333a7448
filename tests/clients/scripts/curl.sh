#!/bin/sh
# One run of curl is one pool of connections: the login has one, everything after it another.
set -eu

answer=$(mktemp -d)
trap 'rm -rf "$answer"' EXIT
case $CLIENT_HTTP in 2) version=--http2 ;; *) version=--http1.1 ;; esac

call() {
    # shellcheck disable=SC2086 # no option, or one
    curl -sS --globoff --max-time 60 $version $CLIENT_OPTIONS "$@"
}

calls() {
    status=$(call -o "$answer/login" -w '%{http_code}' -H "api_key: $SENSGATE_KEY" \
        -d login=CLIENTREST -d password=clientrest "$SENSGATE_URL/v1/login/user")
    echo "login $status"
    token=$(sed 's/.*"access_token":"\([^"]*\)".*/\1/' "$answer/login")
    head -c 2097152 /dev/zero | tr '\0' x >"$answer/upload"

    # Each line: the step, then what is its own. `--next` forgets every option.
    set --
    while read -r step path options; do
        [ $# = 0 ] || set -- "$@" --next
        # shellcheck disable=SC2086
        set -- "$@" -sS --globoff --max-time 60 $version $CLIENT_OPTIONS -o "$answer/$step" -w "$step %{http_code}\n" \
            -H "api_key: $SENSGATE_KEY" -H "access_token: $token" $options "$SENSGATE_URL$path"
    done <<END
query /v1/articles?filter={"ref":"A1|B2"}
accent /v1/articles?filter={"label":"É"}
post /v1/devis -H Content-Type:application/json --data-binary {"ref":"A1","label":"Écran"}
upload /v1/documents -H Transfer-Encoding:chunked -H Content-Type:application/octet-stream --data-binary @$answer/upload
head /v1/articles --head
delete /v1/panier/1 -X DELETE
delete_chunked /v1/panier/2 -X DELETE
again /v1/articles
END
    curl "$@" >"$answer/statuses"
    while read -r step status; do
        # What curl keeps of a HEAD is the head.
        if [ "$step" = head ]; then : >"$answer/head"; fi
        echo "$step $status $(cat "$answer/$step" 2>/dev/null)"
    done <"$answer/statuses"
}

refuse() {
    step=$1 length=$2
    shift 2
    head -c "$length" /dev/zero >"$answer/body"
    : >"$answer/refusal"
    status=$(call -o "$answer/refusal" -w '%{http_code}' "$@" --data-binary "@$answer/body" "$SENSGATE_URL/v1/documents") ||
        status="$status curl ended with $?"
    echo "$step $status $(sed 's/.*"code":"\([^"]*\)".*/\1/' "$answer/refusal")"
}

refusals() {
    for _ in 1 2 3 4 5; do
        refuse refused 8000000 -H "api_key: nobody's"
    done
    refuse too_large 12000000 -H "api_key: $SENSGATE_KEY"
}

$1
