"""What callers ask and what the stand-in for 8sens answers."""

CONSUMERS = 1000
TOKEN = "9f8e7d6c5b4a39281706"
UPSTREAM_KEY = "bench-upstream-key-of-8sens"

# 197 bytes of JSON.
ANSWER = '{"rows":[' + ",".join(f'{{"id":{n},"code":"ART{n:05}","label":"Article {n:05}"}}' for n in range(3))
ANSWER += '],"page":"' + "x" * (197 - len(ANSWER) - len('],"page":""}')) + '"}'

# 1 KiB of a form.
ORDER = "lines=" + "x" * (1024 - len("lines="))

LOGIN = "login=CLIENTREST&password=bench"
READ_PATH, WRITE_PATH, LOGIN_PATH = "/v1/articles", "/v1/devis", "/v1/login/user"


def key(number):
    """A key as long as a real one. It opens nothing but this benchmark."""
    return f"sgk_k1_{number:050}"


def fields(key_field="api_key", with_token=True, consumers=CONSUMERS):
    """The header fields of the consumer in the middle of the table."""
    token = [("access_token", TOKEN)] if with_token else []
    return [(key_field, key(consumers // 2)), *token, ("Accept", "application/json")]


def request(header_fields, method="GET", path=READ_PATH, body=""):
    """The bytes of one request."""
    head = [f"{method} {path} HTTP/1.1", "Host: gate.example"]
    head += [f"{name}: {value}" for name, value in header_fields]
    if body:
        head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
    return ("\r\n".join(head) + "\r\n\r\n" + body).encode()
