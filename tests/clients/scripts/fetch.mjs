const { SENSGATE_URL: url, SENSGATE_KEY: key } = process.env;

async function call(method, path, headers, body) {
  const stream = body instanceof ReadableStream;
  try {
    const answer = await fetch(url + path, { method, headers, body, ...(stream && { duplex: "half" }) });
    return [answer.status, await answer.text()];
  } catch (error) {
    return [0, `${error.cause?.code ?? error.message}`];
  }
}

function pieces() {
  let left = 32;
  const piece = new Uint8Array(64 << 10).fill(120);
  return new ReadableStream({
    pull(stream) {
      if (left-- > 0) stream.enqueue(piece);
      else stream.close();
    },
  });
}

async function calls() {
  const form = new URLSearchParams({ login: "CLIENTREST", password: "clientrest" });
  const [status, answer] = await call("POST", "/v1/login/user", { api_key: key }, form);
  console.log(`login ${status}`);
  const headers = { api_key: key, access_token: JSON.parse(answer).access_token };
  const json = { ...headers, "Content-Type": "application/json" };
  const steps = [
    ["query", "GET", '/v1/articles?filter={"ref":"A1|B2"}', headers],
    ["accent", "GET", '/v1/articles?filter={"label":"É"}', headers],
    ["post", "POST", "/v1/devis", json, '{"ref":"A1","label":"Écran"}'],
    ["upload", "POST", "/v1/documents", headers, pieces()],
    ["head", "HEAD", "/v1/articles", headers],
    ["delete", "DELETE", "/v1/panier/1", headers],
    ["delete_chunked", "DELETE", "/v1/panier/2", headers],
    ["again", "GET", "/v1/articles", headers],
  ];
  for (const [step, ...request] of steps) {
    const [status, answer] = await call(...request);
    console.log(`${step} ${status} ${answer}`);
  }
}

async function refusals() {
  const refuse = async (step, key, length) => {
    const [status, answer] = await call("POST", "/v1/documents", { api_key: key }, new Uint8Array(length));
    console.log(`${step} ${status} ${status ? JSON.parse(answer).code : answer}`);
  };
  for (let time = 0; time < 5; time++) await refuse("refused", "nobody's", 8_000_000);
  await refuse("too_large", key, 12_000_000);
}

await { calls, refusals }[process.argv[2]]();
