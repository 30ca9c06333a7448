import os
import sys

import httpx

KEY, URL = os.environ["SENSGATE_KEY"], os.environ["SENSGATE_URL"]
HTTP2 = os.environ["CLIENT_HTTP"] == "2"


def pieces(length):
    for start in range(0, length, 64 << 10):
        yield b"x" * min(64 << 10, length - start)


def calls():
    with httpx.Client(base_url=URL, http2=HTTP2, timeout=60, headers={"api_key": KEY}) as client:

        def call(method, path, **more):
            answer = client.request(method, path, **more)
            return answer.status_code, answer.text

        login = client.post("/v1/login/user", data={"login": "CLIENTREST", "password": "clientrest"})
        print("login", login.status_code)
        client.headers["access_token"] = login.json()["access_token"]
        body, kind = '{"ref":"A1","label":"Écran"}'.encode(), {"Content-Type": "application/json"}
        print("query", *call("GET", '/v1/articles?filter={"ref":"A1|B2"}'))
        print("accent", *call("GET", "/v1/articles", params={"filter": '{"label":"É"}'}))
        print("post", *call("POST", "/v1/devis", content=body, headers=kind))
        print("upload", *call("POST", "/v1/documents", content=pieces(2 << 20)))
        print("head", *call("HEAD", "/v1/articles"))
        print("delete", *call("DELETE", "/v1/panier/1"))
        print("delete_chunked", *call("DELETE", "/v1/panier/2"))
        print("again", *call("GET", "/v1/articles"))


def refusals():
    def refuse(step, key, body):
        with httpx.Client(base_url=URL, http2=HTTP2, timeout=60) as client:
            try:
                answer = client.post("/v1/documents", content=body, headers={"api_key": key})
                print(step, answer.status_code, answer.json()["code"])
            except httpx.HTTPError as error:
                print(step, repr(error))

    for time in range(5):
        # Whole, then in pieces, in turn.
        refuse("refused", "nobody's", b"x" * 8_000_000 if time % 2 else pieces(8_000_000))
    refuse("too_large", KEY, b"x" * 12_000_000)


{"calls": calls, "refusals": refusals}[sys.argv[1]]()
