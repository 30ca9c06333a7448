"""Python's http.client: it sends what it is given, and reads no answer before it has sent a body whole."""
import http.client
import json
import os
import sys
from urllib.parse import quote, urlsplit

KEY = os.environ["SENSGATE_KEY"]
URL = urlsplit(os.environ["SENSGATE_URL"])
KIND = http.client.HTTPSConnection if URL.scheme == "https" else http.client.HTTPConnection


def pieces(length):
    for start in range(0, length, 64 << 10):
        yield b"x" * min(64 << 10, length - start)


def calls():
    connection = KIND(URL.netloc, timeout=60)

    def call(method, path, headers, body=None):
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    form = {"api_key": KEY, "Content-Type": "application/x-www-form-urlencoded"}
    status, answer = call("POST", "/v1/login/user", form, "login=CLIENTREST&password=clientrest")
    print("login", status)
    headers = {"api_key": KEY, "access_token": json.loads(answer)["access_token"]}
    json_type = {**headers, "Content-Type": "application/json"}
    for step, *request in [
        ("query", "GET", '/v1/articles?filter={"ref":"A1|B2"}', headers),
        ("accent", "GET", "/v1/articles?filter=" + quote('{"label":"É"}'), headers),
        ("post", "POST", "/v1/devis", json_type, '{"ref":"A1","label":"Écran"}'.encode()),
        ("upload", "POST", "/v1/documents", headers, pieces(2 << 20)),
        ("head", "HEAD", "/v1/articles", headers),
        ("delete", "DELETE", "/v1/panier/1", headers),
        ("delete_chunked", "DELETE", "/v1/panier/2", headers),
        ("again", "GET", "/v1/articles", headers),
    ]:
        print(step, *call(*request))


def refusals():
    def refuse(step, key, length):
        connection = KIND(URL.netloc, timeout=60)
        try:
            headers = {"api_key": key, "Content-Length": str(length)}
            connection.request("POST", "/v1/documents", pieces(length), headers)
            answer = connection.getresponse()
            print(step, answer.status, json.load(answer)["code"])
        except OSError as error:
            print(step, repr(error))

    for _ in range(5):
        refuse("refused", "nobody's", 8_000_000)
    refuse("too_large", KEY, 12_000_000)


{"calls": calls, "refusals": refusals}[sys.argv[1]]()
