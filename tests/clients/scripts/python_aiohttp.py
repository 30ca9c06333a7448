import asyncio
import os
import sys

import aiohttp

KEY, URL = os.environ["SENSGATE_KEY"], os.environ["SENSGATE_URL"]
TIMEOUT = aiohttp.ClientTimeout(total=60)


async def pieces(length):
    for start in range(0, length, 64 << 10):
        yield b"x" * min(64 << 10, length - start)


async def calls():
    async with aiohttp.ClientSession(timeout=TIMEOUT, headers={"api_key": KEY}) as session:
        form = {"login": "CLIENTREST", "password": "clientrest"}
        async with session.post(URL + "/v1/login/user", data=form) as login:
            print("login", login.status)
            token = {"access_token": (await login.json())["access_token"]}

        async def call(method, path, headers=(), **more):
            async with session.request(method, URL + path, headers={**token, **dict(headers)}, **more) as answer:
                return answer.status, await answer.text()

        body, kind = '{"ref":"A1","label":"Écran"}'.encode(), {"Content-Type": "application/json"}
        print("query", *await call("GET", '/v1/articles?filter={"ref":"A1|B2"}'))
        print("accent", *await call("GET", "/v1/articles", params={"filter": '{"label":"É"}'}))
        print("post", *await call("POST", "/v1/devis", kind, data=body))
        print("upload", *await call("POST", "/v1/documents", data=pieces(2 << 20)))
        print("head", *await call("HEAD", "/v1/articles"))
        print("delete", *await call("DELETE", "/v1/panier/1"))
        print("delete_chunked", *await call("DELETE", "/v1/panier/2"))
        print("again", *await call("GET", "/v1/articles"))


async def refusals():
    async def refuse(step, key, body):
        async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
            try:
                async with session.post(URL + "/v1/documents", data=body, headers={"api_key": key}) as answer:
                    print(step, answer.status, (await answer.json(content_type=None))["code"])
            except aiohttp.ClientError as error:
                print(step, repr(error))

    for time in range(5):
        # Whole, then in pieces, in turn.
        await refuse("refused", "nobody's", b"x" * 8_000_000 if time % 2 else pieces(8_000_000))
    await refuse("too_large", KEY, b"x" * 12_000_000)


asyncio.run({"calls": calls, "refusals": refusals}[sys.argv[1]]())
